%% mod_event_pusher_gate: asks xmpp-event-pusher whether a client's message is delivered, and with which text.
%%
%% Loaded on a virtual host. A message with a body that a client sends is held while the module asks the pusher over HTTP. Then it
%% is delivered unchanged or with another text, or it is refused, and only its sender receives an error. This happens in the
%% process of the sender's session: only the sender waits, and its messages keep their order. One process per virtual host
%% keeps the options, and one per connection communicates with the pusher. Options and set-up: README.md of this module.
%% Works with ejabberd 23.01.

-module(mod_event_pusher_gate).

-behaviour(gen_mod).
-behaviour(gen_server).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([init/1, handle_call/3, handle_cast/2, terminate/2]).
-export([user_send_packet/1]).

-include("logger.hrl").
-include("translate.hrl").
-include("xmpp.hrl").

-define(NS_XHTML, <<"http://jabber.org/protocol/xhtml-im">>).

%% The pusher closes a connection after a minute of idle time, so it is not reused after half of that, in milliseconds.
-define(MAX_IDLE, 30000).
%% A message that has taken a connection uses it within this time.
-define(SOON, 5000).

%% Maximum size of the text of an answer in bytes.
-define(MAX_ANSWER, 1024 * 1024).

%% State of a virtual host's gate that every process may read.
-record(gate, {
    address :: inet:ip_address() | string(),
    port :: inet:port_number(),
    %% The part of a request that is the same for all messages.
    head :: iodata(),
    %% Milliseconds.
    timeout :: pos_integer(),
    on_failure :: continue | refuse,
    %% The processes of idle connections.
    idle :: ets:tid(),
    %% Flags of logged states; their indexes are below.
    told :: atomics:atomics_ref()
}).

%% 1 during failures, which are logged when they begin and when they end.
-define(FAILING, 1).
%% 1 after an unreadable message was logged.
-define(TOLD_UNREADABLE, 2).

%%% The module

start(Host, Opts) ->
    gen_mod:start_child(?MODULE, Host, Opts).

stop(Host) ->
    gen_mod:stop_child(?MODULE, Host).

reload(Host, NewOpts, _OldOpts) ->
    gen_server:cast(gen_mod:get_module_proc(Host, ?MODULE), {options, NewOpts}).

%% mod_mam and mod_carboncopy may be loaded or not; only the order of the hooks matters.
depends(_Host, _Opts) ->
    [].

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
        desc => ?T("This module holds the messages of local users until xmpp-event-pusher has decided whether they are "
                   "delivered, and with which text."),
        opts => [
            {url, #{value => ?T("URL"), desc => ?T("Where the pusher listens. The default is "
                                                   "'http://127.0.0.1:9465/gate'.")}},
            {token, #{value => ?T("Token"), desc => ?T("The token of the pusher's gate. There is none by default.")}},
            {timeout, #{value => "timeout()", desc => ?T("Maximum time a message waits. The default is '2 seconds'.")}},
            {on_failure, #{value => "continue | refuse", desc => ?T("Applies to a message without a decision. The "
                                                                    "default is 'continue'.")}}
        ]
    }.

%%% The keeper of a virtual host's options and connections

init([Host, Opts]) ->
    process_flag(trap_exit, true), % so that terminate/2 runs
    install(Host, Opts, atomics:new(2, [])),
    ejabberd_hooks:add(user_send_packet, Host, ?MODULE, user_send_packet, 60),
    {ok, Host}.

%% Connections belong to these options; previous ones end with their table.
install(Host, Opts, Told) ->
    {Address, Port, Target, Authority} = where(gen_mod:get_opt(url, Opts)),
    persistent_term:put({?MODULE, Host}, #gate{
        address = Address,
        port = Port,
        head = [
            <<"POST ">>, Target, <<" HTTP/1.1\r\nhost: ">>, Authority, <<"\r\n">>,
            authorization(gen_mod:get_opt(token, Opts)),
            <<"content-type: application/xml; charset=utf-8\r\nevent-pusher-host: ">>, Host, <<"\r\nevent-pusher-session: ">>
        ],
        timeout = gen_mod:get_opt(timeout, Opts),
        on_failure = gen_mod:get_opt(on_failure, Opts),
        idle = ets:new(?MODULE, [public, {write_concurrency, true}]),
        told = Told
    }).

where(Url) ->
    #{host := Name, path := Path} = Parts = uri_string:parse(Url),
    Port = maps:get(port, Parts, 80),
    Target = case Path of <<>> -> <<"/">>; _ -> Path end,
    case inet:parse_address(binary_to_list(Name)) of
        {ok, Address} when tuple_size(Address) == 8 -> {Address, Port, Target, [$[, Name, $], $:, integer_to_binary(Port)]};
        {ok, Address} -> {Address, Port, Target, [Name, $:, integer_to_binary(Port)]};
        {error, _} -> {binary_to_list(Name), Port, Target, [Name, $:, integer_to_binary(Port)]}
    end.

authorization(undefined) -> [];
authorization(Token) -> [<<"authorization: Bearer ">>, Token, <<"\r\n">>].

handle_call(_Request, _From, Host) ->
    {reply, {error, badarg}, Host}.

handle_cast({options, Opts}, Host) ->
    #gate{idle = Former, told = Told} = persistent_term:get({?MODULE, Host}),
    install(Host, Opts, Told),
    ets:delete(Former),
    {noreply, Host};
handle_cast(_Msg, Host) ->
    {noreply, Host}.

terminate(_Reason, Host) ->
    ejabberd_hooks:delete(user_send_packet, Host, ?MODULE, user_send_packet, 60),
    persistent_term:erase({?MODULE, Host}).

%%% Stanzas sent by clients

%% Before mod_mam 88, mod_carboncopy 89 and mod_event_pusher_tap 95. Administrators' commands run this hook too, with a state
%% without a session; their messages are not held.
user_send_packet({#message{type = Type, body = [_ | _] = Bodies} = Packet, #{sid := _, lserver := Host} = State} = Acc) when
    Type /= error
->
    Gate = persistent_term:get({?MODULE, Host}, none),
    case Gate /= none andalso says_something(Bodies) of
        true -> hold(Packet, State, Gate);
        false -> Acc
    end;
user_send_packet(Acc) ->
    Acc.

%% In any language: an empty text must not hide another one.
says_something(Bodies) ->
    lists:any(fun(#text{data = Data}) -> Data /= <<>> end, Bodies).

%% An error here must not drop a client's stanza.
hold(Packet, State, Gate) ->
    try
        carry_out(ask(Packet, State, Gate), Packet, State, Gate)
    catch
        Class:Reason ->
            undecided(io_lib:format("~p: ~p", [Class, kind_of(Reason)]), Packet, State, Gate)
    end.

%% Reasons contain stanzas, which must not be logged.
kind_of(Reason) when is_atom(Reason) -> Reason;
kind_of(Reason) when is_tuple(Reason), is_atom(element(1, Reason)) -> element(1, Reason);
kind_of(_Reason) -> unknown.

ask(Packet, #{jid := Jid}, #gate{head = Head, timeout = Timeout} = Gate) ->
    Xml = client_xml(Packet),
    Length = integer_to_binary(byte_size(Xml)),
    exchange([Head, jid:encode(Jid), <<"\r\ncontent-length: ">>, Length, <<"\r\n\r\n">>, Xml], Timeout, take_connection(Gate)).

client_xml(Packet) ->
    #xmlel{attrs = Attrs} = El = xmpp:encode(Packet),
    fxml:element_to_binary(El#xmlel{attrs = lists:keystore(<<"xmlns">>, 1, Attrs, {<<"xmlns">>, ?NS_CLIENT})}).

%%% The decision

carry_out({ok, 204, _}, Packet, State, Gate) ->
    decided(Gate),
    {Packet, State};
carry_out({ok, 200, Text}, Packet, State, Gate) ->
    case is_text(Text) of
        true ->
            decided(Gate),
            {change(Packet, Text), State};
        false ->
            undecided("the pusher's text is none for XML", Packet, State, Gate)
    end;
carry_out({ok, 403, Text}, Packet, #{lang := Lang} = State, Gate) ->
    decided(Gate),
    refuse(Packet, State, xmpp:err_not_allowed(sound(Text), Lang));
%% Refused with every on_failure; otherwise an unreadable message would bypass the gate.
carry_out({ok, Status, Text}, Packet, #{lserver := Host, lang := Lang} = State, Gate) when Status == 400; Status == 413 ->
    case atomics:exchange(Gate#gate.told, ?TOLD_UNREADABLE, 1) of
        0 ->
            ?WARNING_MSG(
                "The pusher cannot read a message of ~ts, which is refused (~B: ~ts); further ones are not reported",
                [Host, Status, string:slice(sound(Text), 0, 100)]
            );
        1 ->
            ok
    end,
    Told = ?T("This message cannot be checked: it is too large, or built in too odd a way."),
    refuse(Packet#message{body = [], sub_els = []}, State, xmpp:err_not_acceptable(Told, Lang)); % an error contains its message
carry_out({ok, 401, _}, Packet, State, Gate) ->
    undecided("the pusher answers 401: the option token is not its token", Packet, State, Gate);
carry_out({ok, Status, Text}, Packet, State, Gate) ->
    undecided(io_lib:format("the pusher answers ~B: ~ts", [Status, string:slice(sound(Text), 0, 100)]), Packet, State, Gate);
carry_out({error, timeout}, Packet, State, #gate{timeout = Timeout} = Gate) ->
    undecided(io_lib:format("no answer within ~B ms", [Timeout]), Packet, State, Gate);
carry_out({error, Reason}, Packet, State, Gate) ->
    undecided(io_lib:format("no answer: ~p", [kind_of(Reason)]), Packet, State, Gate).

undecided(Problem, Packet, #{lserver := Host, lang := Lang} = State, #gate{on_failure = OnFailure, told = Told}) ->
    case atomics:exchange(Told, ?FAILING, 1) of
        0 ->
            ?ERROR_MSG(
                "No decision about messages of ~ts (~ts). Until the next decision, ~ts; further failures are not reported",
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

consequence(continue) -> "messages are delivered";
consequence(refuse) -> "messages are refused".

decided(#gate{told = Told}) ->
    case atomics:get(Told, ?FAILING) == 1 andalso atomics:exchange(Told, ?FAILING, 0) of
        1 -> ?INFO_MSG("The event pusher decides about messages again", []);
        _ -> ok
    end.

%% Directly to the sender's stream, so that the error is not routed.
refuse(Packet, State, Error) ->
    {stop, {drop, xmpp_stream_in:send_error(State, Packet, Error)}}.

%% The first body keeps its language.
change(#message{body = [Body | _], sub_els = Els} = Packet, Text) ->
    Packet#message{body = [Body#text{data = Text}], sub_els = [El || El <- Els, xmpp:get_ns(El) /= ?NS_XHTML]}.

%% UTF-8 of characters that XML allows (XML 1.0, section 2.2).
is_text(Text) ->
    case unicode:characters_to_list(Text) of
        Characters when is_list(Characters) -> lists:all(fun is_xml/1, Characters);
        _ -> false
    end.

is_xml(C) -> C == $\t orelse C == $\n orelse C == $\r orelse (C >= 16#20 andalso C /= 16#FFFE andalso C /= 16#FFFF).

%% A refusal applies even if its text is unusable.
sound(Text) ->
    case is_text(Text) of
        true -> Text;
        false -> <<>>
    end.

%%% Connections
%%
%% Each connection is a process, used by one message at a time, so that no message waits for the answer of another. There are as
%% many as messages that wait. OTP's httpc keeps connections too, for several times the CPU.

take_connection(#gate{idle = Idle} = Gate) ->
    try take_idle(Idle, ets:first(Idle)) of
        none -> spawn(fun() -> open_connection(Gate) end);
        Pid -> Pid
    catch
        error:badarg -> spawn(fun() -> open_connection(Gate) end) % the options have just changed
    end.

take_idle(_Idle, '$end_of_table') ->
    none;
take_idle(Idle, Pid) ->
    case ets:take(Idle, Pid) of
        [_] -> Pid;
        [] -> take_idle(Idle, ets:first(Idle))
    end.

%% In the requesting process. After a timeout, a late response is ignored and the connection is closed.
exchange(Request, Timeout, Pid) ->
    Ref = monitor(process, Pid, [{alias, reply_demonitor}]),
    Pid ! {ask, Ref, Request},
    receive
        {Ref, Answer} -> Answer;
        {'DOWN', Ref, process, _, _} -> {error, broken}
    after Timeout ->
        demonitor(Ref, [flush]),
        exit(Pid, kill),
        {error, timeout}
    end.

%% From here on in the process of the connection.
open_connection(Gate) ->
    process_flag(sensitive, true), % messages of users must not appear in a crash report
    connection(Gate, none, ?SOON).

connection(#gate{idle = Idle} = Gate, Socket, WaitMs) ->
    receive
        {ask, Ref, Request} ->
            {Answer, Kept} = attempt(Request, Socket, Gate),
            Offered = Kept /= none andalso offer(Idle),
            Ref ! {Ref, Answer},
            Offered andalso connection(Gate, Kept, ?MAX_IDLE)
    after WaitMs ->
        %% A connection that was just taken receives its message soon, if the sender is alive.
        WaitMs == ?SOON orelse withdraw(Idle) orelse connection(Gate, Socket, ?SOON)
    end.

%% The table is deleted together with its options.
offer(Idle) ->
    try ets:insert(Idle, {self()}) catch error:badarg -> false end.

withdraw(Idle) ->
    try ets:take(Idle, self()) /= [] catch error:badarg -> true end.

%% Returns the response, and the socket if it can be reused.
attempt(Request, none, #gate{address = Address, port = Port, timeout = Timeout}) ->
    Options = [binary, {active, false}, {nodelay, true}, {packet, http_bin}, {send_timeout, Timeout}],
    case gen_tcp:connect(Address, Port, Options, Timeout) of
        {ok, Socket} -> talk(Request, Socket, Timeout);
        {error, Reason} -> {{error, Reason}, none}
    end;
attempt(Request, Socket, #gate{timeout = Timeout} = Gate) ->
    case talk(Request, Socket, Timeout) of
        %% It was closed at the moment of its reuse.
        {{error, closed}, none} -> attempt(Request, none, Gate);
        Attempted -> Attempted
    end.

talk(Request, Socket, Timeout) ->
    try
        ok = gen_tcp:send(Socket, Request),
        {http_response, _, Status, _} = received(Socket, 0, Timeout),
        {Length, Kept} = read_head(Socket, Timeout, 0, Socket),
        {{ok, Status, read_body(Socket, Length, Timeout)}, Kept}
    catch
        throw:Reason -> {{error, Reason}, none};
        error:{badmatch, {error, _}} -> {{error, closed}, none};
        error:_ -> {{error, no_http}, none}
    end.

received(Socket, Length, Timeout) ->
    case gen_tcp:recv(Socket, Length, Timeout) of
        {ok, Read} -> Read;
        {error, Reason} -> throw(Reason)
    end.

read_head(Socket, Timeout, Length, Kept) ->
    case received(Socket, 0, Timeout) of
        http_eoh -> {Length, Kept};
        {http_header, _, 'Content-Length', _, Value} -> read_head(Socket, Timeout, binary_to_integer(Value), Kept);
        {http_header, _, 'Connection', _, <<"close">>} -> read_head(Socket, Timeout, Length, none);
        {http_header, _, 'Content-Type', _, <<"text/plain", _/binary>>} -> read_head(Socket, Timeout, Length, Kept);
        %% The pusher answers in plain text. A page of another program, such as a proxy, is not a decision.
        {http_header, _, 'Content-Type', _, _} -> throw(no_pusher);
        {http_header, _, 'Transfer-Encoding', _, _} -> throw(no_length);
        {http_header, _, _, _, _} -> read_head(Socket, Timeout, Length, Kept)
    end.

read_body(_Socket, 0, _Timeout) ->
    <<>>;
read_body(Socket, Length, Timeout) when Length =< ?MAX_ANSWER ->
    ok = inet:setopts(Socket, [{packet, raw}]),
    Body = received(Socket, Length, Timeout),
    ok = inet:setopts(Socket, [{packet, http_bin}]),
    Body.
