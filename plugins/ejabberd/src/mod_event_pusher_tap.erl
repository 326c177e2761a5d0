%% mod_event_pusher_tap: hands the stanzas of a virtual host's users to xmpp-event-pusher.
%%
%% Loaded on a virtual host. A copy of every wanted stanza goes, numbered and in order, to an external component
%% (XEP-0114) and waits in a bounded queue until that component has acknowledged it. Options, set-up and protocol
%% (urn:x-event-pusher:tap:1): README.md of this module. Works with ejabberd 23.01.
%%
%% Directions:
%%   in   a client of this host sent it, or an administrator in its name. What the sender's privacy lists refuse is not
%%        sent. A message bears its sender's archive id.
%%   out  it was routed to a user of this host: once per receiver, with the number of the receiver's available clients
%%        (0 for an offline user; a client that XEP-0198 only keeps a place for is not counted). A message bears the
%%        receiver's archive id. Blocked, refused, or addressed to nobody who exists, is not routed.
%%
%% The parts: hooks run in the processes of the sessions, where they choose, mark and pack a stanza into a binary. One
%% process per virtual host numbers what they hand in, keeps the queue and answers the component. Between them stands
%% the door, a term that every process can read.
%%
%% The queue is memory: it outlives the component's connection, not this module. Its epoch names one life of it. When
%% it is full, unsent presence and iq go first, oldest first, then the oldest unsent messages; the numbers of what was
%% dropped are never given again, so that the component sees the hole. What is in flight is not dropped, and nothing
%% more is sent while it is more than half of the bytes.

-module(mod_event_pusher_tap).

-behaviour(gen_mod).
-behaviour(gen_server).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3, format_status/1]).
-export([
    user_send_packet/1,
    user_receive_packet/1,
    offline_message/1,
    sm_receive_packet/1,
    c2s_terminated/2,
    c2s_session_pending/1
]).
-export([component_send_packet/1, process_iq/1, decode_iq_subel/1]).
-export([status/0, get_commands_spec/0]).

-include("logger.hrl").
-include("translate.hrl").
-include("ejabberd_commands.hrl").
-include("xmpp.hrl").

-define(NS_TAP, <<"urn:x-event-pusher:tap:1">>).

%% What an item costs besides its packed stanza, in bytes: its place in the queue, and the binary's own header.
-define(ITEM_BYTES, 160).

%% Elements may stand this deep in each other. The pusher ends a stream that holds a stanza deeper than 128, and one user
%% would stop the feed for all.
-define(MAX_DEPTH, 100).

%% What every process may know of a virtual host's tap.
-record(door, {
    keeper :: pid(),
    component :: binary(),
    max_bytes :: pos_integer(),
    %% Counters that hooks and keeper share; the names of the places are below.
    shared :: atomics:atomics_ref()
}).

%% A sum of the bits of wanted kinds.
-define(WANT, 1).
%% Bytes that were handed in and that the keeper has not yet taken.
-define(UNTAKEN_BYTES, 2).
%% Items that were not handed in because of them.
-define(REFUSED, 3).
%% Failures of each direction; only the first one is logged.
-define(FAILED_IN, 4).
-define(FAILED_OUT, 5).
-define(SHARED_PLACES, 5).

-type item() :: {Seq :: pos_integer(), Rank :: message | minor, Bytes :: pos_integer(), Packed :: binary()}.

-record(queue, {
    %% Not sent yet, or to be sent again; the lowest number of both comes next.
    messages = queue:new() :: queue:queue(item()),
    minors = queue:new() :: queue:queue(item()),
    %% Sent and not acknowledged.
    in_flight = queue:new() :: queue:queue(item()),
    in_flight_count = 0 :: non_neg_integer(),
    in_flight_bytes = 0 :: non_neg_integer(),
    %% The last number given; everything up to `sent` has been sent or dropped, up to `acked` is done with.
    seq = 0 :: non_neg_integer(),
    sent = 0 :: non_neg_integer(),
    acked = 0 :: non_neg_integer(),
    count = 0 :: non_neg_integer(),
    bytes = 0 :: non_neg_integer(),
    dropped = 0 :: non_neg_integer()
}).

-record(state, {
    host :: binary(),
    component :: binary(),
    node :: binary(),
    epoch :: binary(),
    max_bytes :: pos_integer(),
    max_items :: pos_integer(),
    window :: pos_integer(),
    shared :: atomics:atomics_ref(),
    %% The connection that resumed last, and its monitor.
    pusher = none :: none | {pid(), reference()},
    %% Connections that resumed before it, with an acknowledgement that waits for an answer. See displaced/2.
    standby = #{} :: #{pid() => {reference(), none | iq()}},
    queue = #queue{} :: #queue{},
    %% Whether it has been said that the queue is full.
    full = false :: boolean()
}).

%%% The module

start(Host, Opts) ->
    ejabberd_commands:register_commands(get_commands_spec()),
    ejabberd_hooks:add(component_send_packet, ?MODULE, component_send_packet, 50),
    gen_mod:start_child(?MODULE, Host, Opts).

stop(Host) ->
    case gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        false ->
            ejabberd_hooks:delete(component_send_packet, ?MODULE, component_send_packet, 50),
            ejabberd_commands:unregister_commands(get_commands_spec());
        true ->
            ok
    end,
    gen_mod:stop_child(?MODULE, Host).

reload(Host, NewOpts, _OldOpts) ->
    gen_server:cast(gen_mod:get_module_proc(Host, ?MODULE), {options, NewOpts}).

%% mod_mam and mod_carboncopy may be loaded or not; only the order of the hooks matters.
depends(_Host, _Opts) ->
    [].

mod_opt_type(component) -> econf:domain();
mod_opt_type(node) -> econf:binary();
mod_opt_type(queue_bytes) -> econf:pos_int();
mod_opt_type(queue_items) -> econf:pos_int();
%% ejabberd ends a component's connection when 10000 stanzas wait in it (its listener's max_fsm_queue).
mod_opt_type(window) -> econf:int(1, 5000).

mod_options(Host) ->
    [
        {component, <<"pusher.", Host/binary>>},
        {node, atom_to_binary(node(), utf8)},
        {queue_bytes, 64 * 1024 * 1024},
        {queue_items, 200000},
        {window, 2000}
    ].

mod_doc() ->
    #{
        desc => ?T("This module hands the stanzas of local users to xmpp-event-pusher, in order, and again until they "
                   "are acknowledged."),
        opts => [
            {component, #{value => ?T("Domain"), desc => ?T("The component that may take the feed. The default is "
                                                            "'pusher.' and the virtual host.")}},
            {node, #{value => ?T("Name"), desc => ?T("A stable name of this server, for clusters. The default is the "
                                                     "name of the Erlang node.")}},
            {queue_bytes, #{value => ?T("Number"), desc => ?T("How many bytes may wait for acknowledgement, sent and "
                                                              "unsent together. The default is 64 MiB.")}},
            {queue_items, #{value => ?T("Number"), desc => ?T("How many stanzas may wait for acknowledgement. The "
                                                              "default is 200000.")}},
            {window, #{value => ?T("Number"), desc => ?T("How many stanzas may be sent and not yet acknowledged. The "
                                                         "default is 2000.")}}
        ]
    }.

%%% What clients send

%% mod_privacy 50, mod_mam 88 adds the archive id, mod_carboncopy 89; then us; mod_mam takes the sender's archive id away
%% again at 500. Administrators' commands run this hook too, with a state that has nothing but a `jid`.
user_send_packet({Packet, #{jid := #jid{lserver = Host}} = State}) when ?is_stanza(Packet) ->
    guarded(Host, ?FAILED_IN, fun(Door) -> sent(Packet, State, Door) end),
    {mark_request(Packet), State};
user_send_packet(Acc) ->
    Acc.

sent(#presence{type = probe}, _State, _Door) ->
    ok;
sent(Packet, #{jid := Jid} = State, Door) ->
    Tapped = Jid#jid.luser /= <<>> andalso is_wanted(Packet, Door) andalso not concerns_pusher(Packet, Door),
    case Tapped andalso may_send(Packet, State) of
        true -> hand_in(without_own_address(Packet, Jid), {in, Jid}, Door);
        false -> ok
    end.

%% A session asks its privacy lists only after this hook. What an administrator sends in a user's name goes past them.
may_send(Packet, #{sid := _, lserver := Host} = State) ->
    allow == ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [State, Packet, out]);
may_send(_Packet, _State) ->
    true.

%% ejabberd addresses a client's broadcast to the client's own account.
without_own_address(#presence{to = #jid{luser = U, lserver = S, lresource = <<>>}} = Packet, #jid{luser = U, lserver = S}) ->
    Packet#presence{to = undefined};
without_own_address(Packet, _Jid) ->
    Packet.

%% A client that goes without a word: mod_stream_mgmt 50 stops here for a session that was resumed, ejabberd_c2s 100
%% tells the contacts.
c2s_terminated(#{jid := #jid{lserver = Host} = Jid, pres_last := _} = State, _Reason) ->
    Packet = #presence{type = unavailable, from = Jid},
    guarded(Host, ?FAILED_IN, fun(Door) -> is_wanted(Packet, Door) andalso hand_in(Packet, {in, Jid}, Door) end),
    State;
c2s_terminated(State, _Reason) ->
    State.

%%% What is routed to users

%% Messages are tapped where they have reached a session, since only there all that may refuse them has been asked:
%% mod_block_strangers 25, mod_mam 88 adds the archive id, mod_carboncopy 89 stops copies; then us.
user_receive_packet({#message{} = Packet, #{jid := #jid{lserver = Host} = Jid} = State}) ->
    guarded(Host, ?FAILED_OUT, fun(Door) -> reached(Packet, Jid, Door) end),
    {xmpp:put_meta(Packet, ?MODULE, routed), State};
user_receive_packet(Acc) ->
    Acc.

%% Behind mod_mam 49 and mod_offline 50, which may refuse a message when too many are stored.
offline_message({_Action, #message{to = #jid{lserver = Host} = To} = Packet} = Acc) ->
    guarded(Host, ?FAILED_OUT, fun(Door) -> routed(Packet, To, Door) end),
    Acc;
offline_message(Acc) ->
    Acc.

%% A message to an account goes to every session of the highest priority, and all but one bear a mark; a headline goes
%% to those of lower priority too, without one.
reached(#message{type = headline, to = #jid{lresource = <<>>}} = Packet, #jid{luser = U, lserver = S, lresource = R} = Jid, Door) ->
    case lists:sort(ejabberd_sm:get_user_present_resources(U, S)) of
        [_ | _] = Resources when element(2, hd(Resources)) /= R -> ok;
        _ -> routed(Packet, Jid, Door)
    end;
reached(Packet, Jid, Door) ->
    routed(Packet, Jid, Door).

%% Left out: what was tapped before (the other sessions, messages from the store, what stream management routes again),
%% copies, results of an archive, and errors that were made here for a local sender.
routed(#message{meta = #{sm_copy := true}}, _To, _Door) ->
    ok;
routed(#message{meta = #{carbon_copy := true}}, _To, _Door) ->
    ok;
routed(#message{meta = #{from_offline := true}}, _To, _Door) ->
    ok;
routed(#message{meta = #{?MODULE := routed}}, _To, _Door) ->
    ok;
routed(Packet, To, Door) ->
    Tapped = is_wanted(Packet, Door) andalso not concerns_pusher(Packet, Door) andalso not is_answer_of_server(Packet),
    case Tapped andalso not is_archive_result(Packet) of
        true -> hand_in(Packet, {out, count_clients(To)}, Door);
        false -> ok
    end.

%% Presence and iq are tapped where they are routed to the account, once however many sessions they go on to.
sm_receive_packet(Packet) when is_record(Packet, presence); is_record(Packet, iq) ->
    #jid{lserver = Host} = xmpp:get_to(Packet),
    guarded(Host, ?FAILED_OUT, fun(Door) -> routed_to_account(Packet, Door) end),
    Packet;
sm_receive_packet(Packet) ->
    Packet.

routed_to_account(#presence{type = probe}, _Door) ->
    ok;
routed_to_account(Packet, Door) ->
    To = xmpp:get_to(Packet),
    Tapped = is_wanted(Packet, Door) andalso not concerns_pusher(Packet, Door) andalso not is_answer_of_server(Packet)
        andalso not is_own_talk(xmpp:get_from(Packet), To),
    case Tapped andalso exists(To) andalso may_receive(Packet, To) of
        true -> hand_in(Packet, {out, count_clients(To)}, Door);
        false -> ok
    end.

%% An account with itself, or the server with an account.
is_own_talk(#jid{luser = U, lserver = S}, #jid{luser = U, lserver = S}) -> true;
is_own_talk(#jid{luser = <<>>, lserver = S}, #jid{lserver = S}) -> true;
is_own_talk(_From, _To) -> false.

may_receive(Packet, #jid{lserver = Host} = To) ->
    allow == ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [To, Packet, in]).

exists(#jid{luser = User, lserver = Host}) ->
    ejabberd_sm:get_user_resources(User, Host) /= [] orelse ejabberd_auth:user_exists(User, Host).

count_clients(#jid{luser = User, lserver = Host}) ->
    length([
        here
     || {_Resource, Info} <- ejabberd_sm:get_user_info(User, Host),
        is_integer(proplists:get_value(priority, Info)),
        not proplists:get_bool(?MODULE, Info)
    ]).

%% A connection broke and XEP-0198 keeps its place; a resumed session has a new entry, without this.
c2s_session_pending(#{jid := Jid} = State) ->
    {User, Host, Resource} = jid:tolower(Jid),
    _ = ejabberd_sm:set_user_info(User, Host, Resource, ?MODULE, true),
    State.

%%% Which stanza is what

%% ejabberd makes its answers and errors out of the request, whose metadata they keep; what came over a stream has none.
mark_request(#message{type = error} = Packet) -> Packet;
mark_request(#presence{type = error} = Packet) -> Packet;
mark_request(#iq{type = Type} = Packet) when Type == result; Type == error -> Packet;
mark_request(Packet) -> xmpp:put_meta(Packet, ?MODULE, request).

is_answer_of_server(Packet) ->
    case xmpp:get_type(Packet) of
        Type when Type == error; Type == result -> xmpp:get_meta(Packet, ?MODULE, none) /= none;
        _ -> false
    end.

%% What a local user sends under that name is no result.
is_archive_result(#message{meta = #{?MODULE := request}}) ->
    false;
is_archive_result(#message{sub_els = Els}) ->
    lists:any(
        fun
            (#mam_result{}) -> true;
            (#xmlel{name = <<"result">>, attrs = Attrs}) -> is_archive(fxml:get_attr_s(<<"xmlns">>, Attrs));
            (_) -> false
        end,
        Els
    ).

is_archive(<<"urn:xmpp:mam:", _/binary>>) -> true;
is_archive(_) -> false.

concerns_pusher(Packet, #door{component = Component}) ->
    domain(xmpp:get_from(Packet)) == Component orelse domain(xmpp:get_to(Packet)) == Component.

domain(#jid{lserver = Domain}) -> Domain;
domain(undefined) -> none.

is_wanted(Packet, #door{shared = Shared}) ->
    atomics:get(Shared, ?WANT) band bit(element(1, Packet)) /= 0.

bit(message) -> 1;
bit(presence) -> 2;
bit(iq) -> 4.

%%% Through the door

door(Host) ->
    persistent_term:get({?MODULE, Host}, closed).

%% Nothing that happens in here may cost a client its stanza. One line of log per direction is enough to find it.
guarded(Host, Failed, Tap) ->
    case door(Host) of
        closed ->
            ok;
        #door{shared = Shared} = Door ->
            try
                Tap(Door)
            catch
                Class:Reason:Trace ->
                    case atomics:add_get(Shared, Failed, 1) of
                        1 ->
                            ?ERROR_MSG(
                                "Could not tap a stanza of ~ts (further ones are not reported): ~p:~p at ~p",
                                [Host, Class, kind_of(Reason), places(Trace)]
                            );
                        _ ->
                            ok
                    end
            end
    end.

%% Reasons and traces hold stanzas, which have no place in a log.
kind_of(Reason) when is_atom(Reason) -> Reason;
kind_of(Reason) when is_tuple(Reason), is_atom(element(1, Reason)) -> element(1, Reason);
kind_of(_Reason) -> unknown.

places(Trace) ->
    [{Module, Function, proplists:get_value(line, Where)} || {Module, Function, _, Where} <- lists:sublist(Trace, 5)].

%% Packed, an item is one binary outside of every heap: cheap to hand over, to keep and to count.
hand_in(Packet, Mark, #door{keeper = Keeper, max_bytes = MaxBytes, shared = Shared}) ->
    Packed = term_to_binary({mark(Mark), os:system_time(millisecond), client_xml(Packet)}),
    Bytes = byte_size(Packed) + ?ITEM_BYTES,
    case atomics:add_get(Shared, ?UNTAKEN_BYTES, Bytes) of
        Untaken when Untaken =< MaxBytes; Untaken == Bytes ->
            gen_server:cast(Keeper, {item, rank(Packet), Bytes, Packed});
        _ ->
            atomics:sub(Shared, ?UNTAKEN_BYTES, Bytes),
            atomics:add(Shared, ?REFUSED, 1)
    end.

mark({in, #jid{lresource = <<>>}}) -> [{<<"dir">>, <<"in">>}];
mark({in, Jid}) -> [{<<"dir">>, <<"in">>}, {<<"session">>, jid:encode(Jid)}];
mark({out, Clients}) -> [{<<"dir">>, <<"out">>}, {<<"sessions">>, integer_to_binary(Clients)}].

client_xml(Packet) ->
    #xmlel{attrs = Attrs} = El = xmpp:encode(Packet),
    is_deeper(El, ?MAX_DEPTH) andalso error(nested_too_deep),
    El#xmlel{attrs = lists:keystore(<<"xmlns">>, 1, Attrs, {<<"xmlns">>, ?NS_CLIENT})}.

is_deeper(#xmlel{}, 0) -> true;
is_deeper(#xmlel{children = Children}, Left) -> lists:any(fun(Child) -> is_deeper(Child, Left - 1) end, Children);
is_deeper(_Text, _Left) -> false.

rank(#message{}) -> message;
rank(_) -> minor.

%%% What the component says

%% Without this the codec refuses a namespace that it does not know before the handler is asked.
decode_iq_subel(El) ->
    El.

%% Runs in the process of a component's connection, for all virtual hosts: says on its requests whose they are. With
%% several connections the router would give the answer to a ping to any of them, and the others would seem dead.
component_send_packet({#iq{type = get, to = To, sub_els = [El]} = IQ, #{remote_server := Component} = State} = Acc) ->
    case {door(To#jid.lserver), xmpp:get_ns(El)} of
        {#door{component = Component}, ?NS_PING} when To#jid.luser == <<>>, To#jid.lresource == <<>> ->
            self() ! {route, xmpp:make_iq_result(IQ)},
            {drop, State};
        _ ->
            Acc
    end;
component_send_packet({#iq{type = set} = IQ, #{remote_server := Component} = State}) ->
    {xmpp:put_meta(IQ, ?MODULE, {component, Component, self()}), State};
component_send_packet(Acc) ->
    Acc.

%% A user or a remote server can send the same stanza; only a connection of the component itself counts.
process_iq(#iq{type = set, to = #jid{lserver = Host}, sub_els = [#xmlel{name = Name, attrs = Attrs}], meta = Meta} = IQ) when
    Name == <<"resume">>; Name == <<"ack">>
->
    case {door(Host), Meta} of
        {#door{keeper = Keeper, component = Component}, #{?MODULE := {component, Component, Connection}}} ->
            gen_server:cast(Keeper, {Name, Connection, IQ#iq{sub_els = []}, Attrs}),
            ignore;
        _ ->
            xmpp:make_error(IQ, xmpp:err_forbidden())
    end;
process_iq(IQ) ->
    xmpp:make_error(IQ, xmpp:err_bad_request()).

%%% The keeper of a virtual host's queue

init([Host, Opts]) ->
    process_flag(trap_exit, true), % so that terminate/2 runs
    %% One mailbox in the order of arrival, so that an `in` stands before the `out` that it caused: off the heap, messages
    %% of several senders are put in side by side.
    process_flag(message_queue_data, on_heap),
    process_flag(fullsweep_after, 20), % else binaries that were acknowledged long ago are kept
    process_flag(sensitive, true), % what users say has no place in a crash report
    Shared = atomics:new(?SHARED_PLACES, [{signed, true}]),
    %% Until the first resume messages are kept, since that is what a resume that names nothing means.
    atomics:put(Shared, ?WANT, bit(message)),
    State = with_options(Opts, #state{host = Host, epoch = uuid(), shared = Shared}),
    add_hooks(Host),
    gen_iq_handler:add_iq_handler(ejabberd_local, Host, ?NS_TAP, ?MODULE, process_iq),
    {ok, State}.

with_options(Opts, #state{host = Host, shared = Shared} = State) ->
    MaxBytes = gen_mod:get_opt(queue_bytes, Opts),
    Component = gen_mod:get_opt(component, Opts),
    %% The bounds of the queue keep the heap far below this: it is there for what nobody thought of.
    HeapWords = (4 * MaxBytes + 128 * 1024 * 1024) div erlang:system_info(wordsize),
    process_flag(max_heap_size, #{size => HeapWords, kill => true, error_logger => true}),
    persistent_term:put(
        {?MODULE, Host},
        #door{keeper = self(), component = Component, max_bytes = MaxBytes, shared = Shared}
    ),
    State#state{
        component = Component,
        node = gen_mod:get_opt(node, Opts),
        max_bytes = MaxBytes,
        max_items = gen_mod:get_opt(queue_items, Opts),
        window = gen_mod:get_opt(window, Opts)
    }.

add_hooks(Host) ->
    [ejabberd_hooks:add(Hook, Host, ?MODULE, Function, Seq) || {Hook, Function, Seq} <- hooks()].

hooks() ->
    [
        {user_send_packet, user_send_packet, 95},
        {c2s_terminated, c2s_terminated, 90},
        {user_receive_packet, user_receive_packet, 95},
        {offline_message_hook, offline_message, 60},
        {sm_receive_packet, sm_receive_packet, 95},
        {c2s_session_pending, c2s_session_pending, 50}
    ].

terminate(_Reason, #state{host = Host}) ->
    persistent_term:erase({?MODULE, Host}),
    gen_iq_handler:remove_iq_handler(ejabberd_local, Host, ?NS_TAP),
    [ejabberd_hooks:delete(Hook, Host, ?MODULE, Function, Seq) || {Hook, Function, Seq} <- hooks()].

code_change(_OldVsn, State, _Extra) ->
    {ok, State}.

format_status(Status) ->
    maps:map(
        fun
            (state, #state{} = State) -> report(State);
            (Key, _) when Key == message; Key == log; Key == queue -> [];
            (_Key, Value) -> Value
        end,
        Status
    ).

handle_call(status, _From, State) ->
    {reply, report(State), State};
handle_call(_Request, _From, State) ->
    {reply, {error, badarg}, State}.

handle_cast({item, Rank, Bytes, Packed}, #state{shared = Shared, queue = Queue} = State) ->
    atomics:sub(Shared, ?UNTAKEN_BYTES, Bytes),
    {noreply, make_room(flush(take_refused(State#state{queue = add(Rank, Bytes, Packed, Queue)})))};
handle_cast({<<"resume">>, Pid, IQ, Attrs}, State) ->
    {noreply, resume(Pid, IQ, Attrs, take_refused(State))};
handle_cast({<<"ack">>, Pid, _IQ, Attrs}, #state{pusher = {Pid, _}} = State) ->
    {noreply, ack(Attrs, State)};
handle_cast({<<"ack">>, Pid, IQ, _Attrs}, #state{pusher = none} = State) ->
    Pid ! {route, not_resumed(IQ)},
    {noreply, State};
handle_cast({<<"ack">>, Pid, IQ, _Attrs}, State) ->
    {noreply, stand_by(Pid, IQ, State)};
handle_cast({options, Opts}, State) ->
    {noreply, make_room(flush(detach_other(with_options(Opts, State), State)))};
handle_cast(_Msg, State) ->
    {noreply, State}.

handle_info({'DOWN', _, process, Pid, _}, #state{host = Host, pusher = {Pid, _}, queue = Queue} = State) ->
    ?INFO_MSG("The event pusher of ~ts has gone; ~B stanzas wait for it", [Host, Queue#queue.count]),
    {noreply, make_room(wake_standby(State#state{pusher = none, queue = rewind(Queue)}))};
handle_info({'DOWN', _, process, Pid, _}, #state{standby = Standby} = State) ->
    {noreply, State#state{standby = maps:remove(Pid, Standby)}};
handle_info(_Info, State) ->
    {noreply, State}.

%% A component that no longer has the feed is left alone with what it was sent.
detach_other(#state{component = Component} = State, #state{component = Component}) -> State;
detach_other(#state{queue = Queue} = State, _Former) -> State#state{pusher = none, standby = #{}, queue = rewind(Queue)}.

resume(Pid, IQ, Attrs, #state{host = Host, shared = Shared, queue = Queue} = State) ->
    atomics:put(Shared, ?WANT, want(Attrs)),
    #queue{seq = Seq, acked = Acked} = Queue,
    Rewound =
        case progress(Attrs, State) of
            H when is_integer(H), H >= Acked, H =< Seq -> rewind(acknowledge(H, Queue));
            _ -> rewind(Queue)
        end,
    Resumed = (displaced(Pid, State))#state{queue = Rewound},
    ?INFO_MSG("The event pusher of ~ts has resumed; ~B stanzas wait for it", [Host, Rewound#queue.count]),
    Pid ! {route, xmpp:make_iq_result(IQ, resumed(Resumed))},
    flush(Resumed).

%% Absent means messages; unknown words mean nothing.
want(Attrs) ->
    Words =
        case fxml:get_attr(<<"want">>, Attrs) of
            {value, Want} -> binary:split(Want, [<<" ">>, <<"\t">>, <<"\n">>], [global]);
            false -> [<<"message">>]
        end,
    lists:sum([bit(Kind) || Kind <- [message, presence, iq], lists:member(atom_to_binary(Kind, utf8), Words)]).

%% How far the component has come, or none when it speaks of another epoch.
progress(Attrs, #state{epoch = Epoch}) ->
    case {fxml:get_attr_s(<<"epoch">>, Attrs), fxml:get_attr_s(<<"h">>, Attrs)} of
        {Epoch, H} when byte_size(H) =< 16 ->
            try
                binary_to_integer(H)
            catch
                error:badarg -> none
            end;
        _ ->
            none
    end.

resumed(#state{epoch = Epoch, node = Node, queue = #queue{seq = Seq, count = Count, dropped = Dropped} = Queue}) ->
    From =
        case next_unsent(Queue) of
            {Next, _} -> Next;
            none -> Seq + 1
        end,
    #xmlel{
        name = <<"resumed">>,
        attrs = [
            {<<"xmlns">>, ?NS_TAP},
            {<<"epoch">>, Epoch},
            {<<"node">>, Node},
            {<<"from-seq">>, integer_to_binary(From)},
            {<<"pending">>, integer_to_binary(Count)},
            {<<"dropped">>, integer_to_binary(Dropped)}
        ]
    }.

ack(Attrs, #state{queue = #queue{acked = Acked, sent = Sent} = Queue} = State) ->
    case progress(Attrs, State) of
        H when is_integer(H), H >= Acked, H =< Sent -> flush(State#state{queue = acknowledge(H, Queue)});
        _ -> State
    end.

%% Nobody has resumed since this module was started or the last pusher went: an error makes the component resume.
not_resumed(IQ) ->
    xmpp:make_error(IQ, xmpp:err_item_not_found()).

%%% Several connections of the component: the last one that resumed has the feed. The others get nothing and are told
%%% nothing, so that two pushers do not take the feed from each other for ever; the answer to what they acknowledge
%%% waits until the feed is free, and then makes them resume.

displaced(Pid, #state{pusher = {Pid, _}} = State) ->
    State;
displaced(Pid, #state{host = Host, pusher = Former, standby = Standby} = State) ->
    {Monitor, Others} =
        case maps:take(Pid, Standby) of
            {{Known, _}, Rest} -> {Known, Rest};
            error -> {erlang:monitor(process, Pid), Standby}
        end,
    case Former of
        none ->
            State#state{pusher = {Pid, Monitor}, standby = Others};
        {FormerPid, FormerMonitor} ->
            ?WARNING_MSG("Another connection takes the feed of ~ts over", [Host]),
            State#state{pusher = {Pid, Monitor}, standby = Others#{FormerPid => {FormerMonitor, none}}}
    end.

stand_by(Pid, IQ, #state{standby = Standby} = State) ->
    Monitor =
        case Standby of
            #{Pid := {Known, _}} -> Known;
            _ -> erlang:monitor(process, Pid)
        end,
    State#state{standby = Standby#{Pid => {Monitor, IQ}}}.

wake_standby(#state{standby = Standby} = State) ->
    Woken = maps:map(
        fun
            (_Pid, {Monitor, none}) -> {Monitor, none};
            (Pid, {Monitor, IQ}) -> Pid ! {route, not_resumed(IQ)}, {Monitor, none}
        end,
        Standby
    ),
    State#state{standby = Woken}.

%%% The queue

add(Rank, Bytes, Packed, #queue{seq = Last, count = Count, bytes = Sum} = Queue) ->
    Seq = Last + 1,
    put_unsent({Seq, Rank, Bytes, Packed}, Queue#queue{seq = Seq, count = Count + 1, bytes = Sum + Bytes}).

put_unsent({_, message, _, _} = Item, #queue{messages = Messages} = Queue) ->
    Queue#queue{messages = queue:in(Item, Messages)};
put_unsent({_, minor, _, _} = Item, #queue{minors = Minors} = Queue) ->
    Queue#queue{minors = queue:in(Item, Minors)}.

%% What found the door too full was never numbered: it leaves its hole here.
take_refused(#state{shared = Shared, queue = Queue} = State) ->
    case atomics:exchange(Shared, ?REFUSED, 0) of
        0 ->
            State;
        Refused ->
            #queue{seq = Seq, dropped = Dropped} = Queue,
            say_full(State#state{queue = Queue#queue{seq = Seq + Refused, dropped = Dropped + Refused}})
    end.

next_unsent(#queue{messages = Messages, minors = Minors}) ->
    case {queue:peek(Messages), queue:peek(Minors)} of
        {empty, empty} -> none;
        {{value, {Seq, _, _, _}}, empty} -> {Seq, message};
        {empty, {value, {Seq, _, _, _}}} -> {Seq, minor};
        {{value, {Seq, _, _, _}}, {value, {Other, _, _, _}}} when Seq < Other -> {Seq, message};
        {_, {value, {Seq, _, _, _}}} -> {Seq, minor}
    end.

take_unsent(message, #queue{messages = Messages} = Queue) ->
    {{value, Item}, Rest} = queue:out(Messages),
    {Item, Queue#queue{messages = Rest}};
take_unsent(minor, #queue{minors = Minors} = Queue) ->
    {{value, Item}, Rest} = queue:out(Minors),
    {Item, Queue#queue{minors = Rest}}.

flush(#state{pusher = none} = State) ->
    State;
flush(#state{queue = #queue{in_flight_count = Count}, window = Window} = State) when Count >= Window ->
    State;
flush(#state{queue = #queue{in_flight_bytes = Bytes}, max_bytes = MaxBytes} = State) when Bytes * 2 >= MaxBytes ->
    State;
flush(#state{queue = Queue} = State) ->
    case next_unsent(Queue) of
        none -> State;
        {_, Rank} -> flush(State#state{queue = send_next(Rank, State)})
    end.

send_next(Rank, #state{queue = Queue} = State) ->
    {{Seq, _, Bytes, _} = Item, Rest} = take_unsent(Rank, Queue),
    send(Item, State),
    #queue{in_flight = InFlight, in_flight_count = Count, in_flight_bytes = Sum} = Rest,
    Rest#queue{
        in_flight = queue:in(Item, InFlight),
        in_flight_count = Count + 1,
        in_flight_bytes = Sum + Bytes,
        sent = Seq
    }.

%% Straight to the connection: the router would share stanzas out among several connections of one component.
send({Seq, _, _, Packed}, #state{host = Host, component = Component, epoch = Epoch, pusher = {Pid, _}}) ->
    {Mark, SeenAt, El} = binary_to_term(Packed),
    Number = integer_to_binary(Seq),
    Tap = #xmlel{
        name = <<"tap">>,
        attrs = [{<<"xmlns">>, ?NS_TAP}, {<<"seq">>, Number}, {<<"epoch">>, Epoch}]
            ++ Mark ++ [{<<"stamp">>, stamp(SeenAt)}]
    },
    Forwarded = #xmlel{name = <<"forwarded">>, attrs = [{<<"xmlns">>, ?NS_FORWARD}], children = [El]},
    Pid ! {route, #message{id = Number, from = jid:make(Host), to = jid:make(Component), sub_els = [Tap, Forwarded]}}.

stamp(Milliseconds) ->
    list_to_binary(calendar:system_time_to_rfc3339(Milliseconds, [{unit, millisecond}, {offset, "Z"}])).

%% Everything that was not acknowledged is to be sent again.
rewind(#queue{in_flight = InFlight, messages = Messages, minors = Minors, acked = Acked} = Queue) ->
    {Again, MinorsAgain} = lists:partition(fun({_, Rank, _, _}) -> Rank == message end, queue:to_list(InFlight)),
    Queue#queue{
        messages = queue:join(queue:from_list(Again), Messages),
        minors = queue:join(queue:from_list(MinorsAgain), Minors),
        in_flight = queue:new(),
        in_flight_count = 0,
        in_flight_bytes = 0,
        sent = Acked
    }.

%% What an earlier connection received may be acknowledged by the next one before it is sent again.
acknowledge(H, Queue) ->
    #queue{in_flight = InFlight, messages = Messages, minors = Minors, count = Count, bytes = Sum, sent = Sent} = Queue,
    {Rest, Landed, LandedBytes} = done_with(H, InFlight, 0, 0),
    {RestOfMessages, Unsent, UnsentBytes} = done_with(H, Messages, 0, 0),
    {RestOfMinors, Minor, MinorBytes} = done_with(H, Minors, 0, 0),
    Queue#queue{
        in_flight = Rest,
        in_flight_count = Queue#queue.in_flight_count - Landed,
        in_flight_bytes = Queue#queue.in_flight_bytes - LandedBytes,
        messages = RestOfMessages,
        minors = RestOfMinors,
        count = Count - Landed - Unsent - Minor,
        bytes = Sum - LandedBytes - UnsentBytes - MinorBytes,
        acked = H,
        sent = max(Sent, H)
    }.

done_with(H, Items, Count, Sum) ->
    case queue:peek(Items) of
        {value, {Seq, _, Bytes, _}} when Seq =< H -> done_with(H, queue:drop(Items), Count + 1, Sum + Bytes);
        _ -> {Items, Count, Sum}
    end.

make_room(#state{queue = #queue{bytes = Sum, count = Count}, max_bytes = MaxBytes, max_items = MaxItems} = State) when
    Sum =< MaxBytes, Count =< MaxItems
->
    State#state{full = State#state.full andalso (Sum * 2 > MaxBytes orelse Count * 2 > MaxItems)};
make_room(#state{queue = #queue{minors = Minors, messages = Messages}} = State) ->
    case {queue:is_empty(Minors), queue:is_empty(Messages)} of
        {false, _} -> make_room(drop(minor, State));
        {true, false} -> make_room(drop(message, State));
        {true, true} -> State
    end.

drop(Rank, #state{queue = Queue} = State) ->
    {{_, _, Bytes, _}, #queue{count = Count, bytes = Sum, dropped = Dropped} = Rest} = take_unsent(Rank, Queue),
    say_full(State#state{queue = Rest#queue{count = Count - 1, bytes = Sum - Bytes, dropped = Dropped + 1}}).

say_full(#state{full = true} = State) ->
    State;
say_full(#state{host = Host} = State) ->
    ?WARNING_MSG("The event pusher's queue of ~ts is full: the oldest stanzas are dropped", [Host]),
    State#state{full = true}.

uuid() ->
    <<A:32, B:16, C:16, D:16, E:48>> = crypto:strong_rand_bytes(16),
    iolist_to_binary(io_lib:format("~8.16.0b-~4.16.0b-~4.16.0b-~4.16.0b-~12.16.0b", [A, B, C, D, E])).

%%% For the server's operator

get_commands_spec() ->
    [
        #ejabberd_commands{
            name = event_pusher_tap_status,
            tags = [stats],
            desc = "Show how each virtual host's feed to the event pusher stands",
            module = ?MODULE,
            function = status,
            args = [],
            result = {hosts, {list, {host, {tuple, [
                {name, string},
                {attached, string},
                {standby, integer},
                {epoch, string},
                {seq, integer},
                {acknowledged, integer},
                {waiting, integer},
                {waiting_bytes, integer},
                {in_flight, integer},
                {dropped, integer},
                {failed, integer}
            ]}}}},
            result_desc = "Numbers of the present epoch, one line per virtual host"
        }
    ].

status() ->
    [
        gen_server:call(gen_mod:get_module_proc(Host, ?MODULE), status)
     || Host <- ejabberd_option:hosts(), gen_mod:is_loaded(Host, ?MODULE)
    ].

report(#state{host = Host, epoch = Epoch, pusher = Pusher, standby = Standby, shared = Shared} = State) ->
    #state{queue = Queue} = State,
    Attached =
        case Pusher of
            none -> "no";
            _ -> "yes"
        end,
    {
        Host,
        Attached,
        maps:size(Standby),
        Epoch,
        Queue#queue.seq,
        Queue#queue.acked,
        Queue#queue.count,
        Queue#queue.bytes,
        Queue#queue.in_flight_count,
        Queue#queue.dropped + atomics:get(Shared, ?REFUSED),
        atomics:get(Shared, ?FAILED_IN) + atomics:get(Shared, ?FAILED_OUT)
    }.
