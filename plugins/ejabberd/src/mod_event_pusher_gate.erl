%% mod_event_pusher_gate: asks xmpp-event-pusher whether a client's message may go on, and with which text.
%%
%% Loaded on a virtual host. A message with a body that a client sends is held while the pusher is asked over HTTP; then
%% it goes on as it was, or with another text, or its sender gets an error and nobody else anything. All that happens in
%% the process of the sender's session: only the sender waits, and its messages stay in their order. Options and
%% set-up: README.md of this module. Works with ejabberd 23.01.

-module(mod_event_pusher_gate).

-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([user_send_packet/1]).

-include("logger.hrl").
-include("translate.hrl").
-include("xmpp.hrl").

-define(NS_XHTML, <<"http://jabber.org/protocol/xhtml-im">>).

%% Connections of all virtual hosts are kept by an HTTP client of our own, so that nobody else's settings are ours.
-define(PROFILE, ?MODULE).

%% What every process may know of a virtual host's gate.
-record(gate, {
    url :: string(),
    headers :: [{string(), string()}],
    %% Milliseconds.
    timeout :: pos_integer(),
    on_failure :: continue | refuse,
    %% 1 while it fails, which is logged when it begins and when it ends.
    failing :: atomics:atomics_ref()
}).

%%% The module

start(Host, Opts) ->
    case inets:start(httpc, [{profile, ?PROFILE}]) of
        {ok, _} -> configure_client();
        {error, {already_started, _}} -> ok
    end,
    install(Host, Opts, atomics:new(1, [])),
    ejabberd_hooks:add(user_send_packet, Host, ?MODULE, user_send_packet, 60).

stop(Host) ->
    ejabberd_hooks:delete(user_send_packet, Host, ?MODULE, user_send_packet, 60),
    persistent_term:erase({?MODULE, Host}),
    case gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        false -> inets:stop(httpc, ?PROFILE);
        true -> ok
    end.

reload(Host, NewOpts, _OldOpts) ->
    #gate{failing = Failing} = persistent_term:get({?MODULE, Host}),
    install(Host, NewOpts, Failing).

%% mod_mam and mod_carboncopy may be loaded or not; only the order of the hooks matters.
depends(_Host, _Opts) ->
    [].

%% A request takes a connection that carries none, or opens one: it never queues behind another, which may hang. The
%% pusher closes an idle connection after a minute, so one is not used again after half of it.
configure_client() ->
    ok = httpc:set_options(
        [{max_keep_alive_length, 0}, {max_pipeline_length, 0}, {max_sessions, 100}, {keep_alive_timeout, 30000}],
        ?PROFILE
    ).

install(Host, Opts, Failing) ->
    persistent_term:put({?MODULE, Host}, #gate{
        url = binary_to_list(gen_mod:get_opt(url, Opts)),
        headers = [{"event-pusher-host", binary_to_list(Host)} | authorization(gen_mod:get_opt(token, Opts))],
        timeout = gen_mod:get_opt(timeout, Opts),
        on_failure = gen_mod:get_opt(on_failure, Opts),
        failing = Failing
    }).

authorization(undefined) -> [];
authorization(Token) -> [{"authorization", "Bearer " ++ binary_to_list(Token)}].

mod_opt_type(url) -> econf:url([http]);
mod_opt_type(token) -> econf:binary("^[!-~]+$");
mod_opt_type(timeout) -> econf:timeout(second);
mod_opt_type(on_failure) -> econf:enum([continue, refuse]).

mod_options(_Host) ->
    [
        {url, <<"http://127.0.0.1:9465/gate">>},
        {token, undefined},
        {timeout, timer:seconds(2)},
        {on_failure, continue}
    ].

mod_doc() ->
    #{
        desc => ?T("This module holds the messages of local users until xmpp-event-pusher has said whether they may go on, "
                   "and with which text."),
        opts => [
            {url, #{value => ?T("URL"), desc => ?T("Where the pusher listens. The default is "
                                                   "'http://127.0.0.1:9465/gate'.")}},
            {token, #{value => ?T("Token"), desc => ?T("The token of the pusher's gate. There is none by default.")}},
            {timeout, #{value => "timeout()", desc => ?T("How long a message may wait. The default is '2 seconds'.")}},
            {on_failure, #{value => "continue | refuse", desc => ?T("What becomes of a message when nobody decides. The "
                                                                    "default is 'continue'.")}}
        ]
    }.

%%% What clients send

%% Before mod_mam 88, mod_carboncopy 89 and mod_event_pusher_tap 95. Administrators' commands run this hook too, with a
%% state that has no session: what they send in a user's name is not held.
user_send_packet({#message{type = Type, body = [_ | _]} = Packet, #{sid := _, lserver := Host} = State} = Acc) when Type /= error ->
    Gate = persistent_term:get({?MODULE, Host}, none),
    case Gate /= none andalso xmpp:get_text(Packet#message.body) of
        Text when Text == false; Text == <<>> -> Acc;
        _ -> hold(Packet, State, Gate)
    end;
user_send_packet(Acc) ->
    Acc.

%% Nothing that happens in here may cost a client its stanza.
hold(Packet, State, Gate) ->
    try
        carry_out(ask(Packet, State, Gate), Packet, State, Gate)
    catch
        Class:Reason ->
            undecided(io_lib:format("~p: ~p", [Class, kind_of(Reason)]), Packet, State, Gate)
    end.

%% Reasons hold stanzas, which have no place in a log.
kind_of(Reason) when is_atom(Reason) -> Reason;
kind_of(Reason) when is_tuple(Reason), is_atom(element(1, Reason)) -> element(1, Reason);
kind_of(_Reason) -> unknown.

%% A connection that was kept may be closed just as it is used: that costs a second try.
ask(Packet, #{jid := Jid}, #gate{url = Url, headers = Headers, timeout = Timeout}) ->
    Session = {"event-pusher-session", binary_to_list(jid:encode(Jid))},
    Request = {Url, [Session | Headers], "application/xml; charset=utf-8", client_xml(Packet)},
    Ask = fun() ->
        HttpOptions = [{timeout, Timeout}, {connect_timeout, Timeout}, {autoredirect, false}],
        httpc:request(post, Request, HttpOptions, [{body_format, binary}], ?PROFILE)
    end,
    case Ask() of
        {error, socket_closed_remotely} -> Ask();
        Answer -> Answer
    end.

client_xml(Packet) ->
    #xmlel{attrs = Attrs} = El = xmpp:encode(Packet),
    fxml:element_to_binary(El#xmlel{attrs = lists:keystore(<<"xmlns">>, 1, Attrs, {<<"xmlns">>, ?NS_CLIENT})}).

%%% What becomes of a message

carry_out({ok, {{_, 204, _}, _, _}}, Packet, State, Gate) ->
    decided(Gate),
    {Packet, State};
carry_out({ok, {{_, 200, _}, _, Text}}, Packet, State, Gate) ->
    case is_text(Text) of
        true ->
            decided(Gate),
            {change(Packet, Text), State};
        false ->
            undecided("the pusher's text is none for XML", Packet, State, Gate)
    end;
carry_out({ok, {{_, 403, _}, _, Text}}, Packet, #{lang := Lang} = State, Gate) ->
    decided(Gate),
    refuse(Packet, State, xmpp:err_not_allowed(sound(Text), Lang));
carry_out({ok, {{_, 401, _}, _, _}}, Packet, State, Gate) ->
    undecided("the pusher answers 401: the option token is not its token", Packet, State, Gate);
carry_out({ok, {{_, Status, _}, _, Text}}, Packet, State, Gate) ->
    undecided(io_lib:format("the pusher answers ~B: ~ts", [Status, string:slice(sound(Text), 0, 100)]), Packet, State, Gate);
carry_out({error, timeout}, Packet, State, #gate{timeout = Timeout} = Gate) ->
    undecided(io_lib:format("no answer within ~B ms", [Timeout]), Packet, State, Gate);
carry_out({error, Reason}, Packet, State, Gate) ->
    undecided(io_lib:format("no answer: ~p", [kind_of(Reason)]), Packet, State, Gate).

undecided(Problem, Packet, #{lserver := Host, lang := Lang} = State, #gate{on_failure = OnFailure, failing = Failing}) ->
    case atomics:exchange(Failing, 1, 1) of
        0 ->
            ?ERROR_MSG(
                "Nobody decides about messages of ~ts (~ts). Until somebody does again, ~ts; further failures are not reported",
                [Host, Problem, consequence(OnFailure)]
            );
        1 ->
            ok
    end,
    case OnFailure of
        continue ->
            {Packet, State};
        refuse ->
            Text = ?T("Nobody could say whether this message may be sent."),
            refuse(Packet, State, xmpp:err_resource_constraint(Text, Lang))
    end.

consequence(continue) -> "they go on unasked";
consequence(refuse) -> "they are refused".

decided(#gate{failing = Failing}) ->
    case atomics:get(Failing, 1) == 1 andalso atomics:exchange(Failing, 1, 0) of
        1 -> ?INFO_MSG("The event pusher decides about messages again", []);
        _ -> ok
    end.

%% Straight to the sender's stream, so that the error is routed past nobody.
refuse(Packet, State, Error) ->
    {stop, {drop, xmpp_stream_in:send_error(State, Packet, Error)}}.

%% The first body, and with it its language, stays.
change(#message{body = [Body | _], sub_els = Els} = Packet, Text) ->
    Packet#message{body = [Body#text{data = Text}], sub_els = [El || El <- Els, xmpp:get_ns(El) /= ?NS_XHTML]}.

%% What a stanza may hold (XML 1.0 2.2), in UTF-8.
is_text(Text) ->
    case unicode:characters_to_list(Text) of
        Characters when is_list(Characters) -> lists:all(fun is_xml/1, Characters);
        _ -> false
    end.

is_xml(C) -> C == $\t orelse C == $\n orelse C == $\r orelse (C >= 16#20 andalso C /= 16#FFFE andalso C /= 16#FFFF).

%% A refusal counts whatever its text is worth.
sound(Text) ->
    case is_text(Text) of
        true -> Text;
        false -> <<>>
    end.
