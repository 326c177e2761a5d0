%% event_pusher_tap_keeper: one process per virtual host. It numbers the items of the hooks, keeps the queue and answers the
%% component.
%%
%% The feed is sent to one connection, the active one: the last that resumed. Another pusher that resumes while it is alive is
%% refused with `conflict` and stands by; it is notified when the active one has disconnected, or is frozen. A pusher with the
%% same instance id is the active one, reconnected; one without an id takes the feed over.
%%
%% With the option `disk` the queue is written before it is sent, so that its epoch and numbers survive this process. Items that
%% arrive during a write are written together in the next one; only the keeper waits for the disk.

-module(event_pusher_tap_keeper).

-behaviour(gen_server).

-export([reload/2, report/1, moved_away/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3, format_status/1]).

-include("logger.hrl").
-include("xmpp.hrl").
-include("event_pusher_tap.hrl").

%% A pusher repeats its acknowledgement every 30 seconds. After this time of silence it loses the feed to the next that resumes.
-define(SILENCE_MS, 100000).

%% A pusher counts as frozen after this number of checks without a stanza; it is probed after half of them. Counted, because the
%% clock runs on while this node is itself suspended.
-define(CHECKS, 8).

-record(pusher, {
    pid :: pid(),
    monitor :: reference(),
    %% The id of the pusher's process, which identifies it after a reconnection.
    instance :: binary() | none,
    %% The time of its last stanza.
    heard :: atomics:atomics_ref(),
    %% Whether it answers probes; an older version does not while it has stopped reading.
    answers :: boolean(),
    heard_before = 0 :: integer(),
    silent_checks = 0 :: non_neg_integer(),
    writer :: event_pusher_tap_writer:writer(),
    envelope :: event_pusher_tap_item:envelope()
}).

-record(state, {
    host :: binary(),
    component :: binary(),
    node :: binary(),
    epoch :: binary(),
    max_bytes :: pos_integer(),
    max_items :: pos_integer(),
    window :: pos_integer(),
    wrapper_bytes :: pos_integer(),
    %% Applies until a component sends its own limit, which is in `shared`.
    default_max_item :: pos_integer(),
    shared :: atomics:atomics_ref(),
    %% The words of the last resume. Until the first one messages are kept, which is the default subscription.
    wanted = {[<<"message">>], ?BOTH_DIRECTIONS} :: event_pusher_tap_intake:wanted(),
    pusher = none :: none | #pusher{},
    %% Other connections that have requested the feed, with an acknowledgement that waits for an answer.
    standby = #{} :: #{pid() => {reference(), none | iq()}},
    frozen_after_ms :: pos_integer(),
    %% Whether a check of the pusher is scheduled: only while another stands by.
    checking = false :: boolean(),
    %% The last number that a pusher has acknowledged since this process started.
    taken = 0 :: non_neg_integer(),
    queue = event_pusher_tap_queue:new() :: event_pusher_tap_queue:queue(),
    %% Whether a full queue was logged.
    full = false :: boolean(),
    online :: ets:tid(),
    %% Whether `online` is maintained.
    watching = false :: boolean(),
    disk = none :: none | event_pusher_tap_disk:disk(),
    %% Number of items, and other entries for the disk, since the last flush.
    fresh = 0 :: non_neg_integer(),
    %% The last number on disk, until the first resume has confirmed it.
    recovered = none :: none | non_neg_integer()
}).

%% Maximum number of items that are taken before they are written to the disk and sent.
-define(BATCH, 1000).

%% Items are written to the connection in pieces of about this size.
-define(WRITE_BYTES, 65536).

reload(Host, Opts) ->
    gen_server:cast(gen_mod:get_module_proc(Host, mod_event_pusher_tap), {options, Opts}).

%% Counters of the current epoch, in display order.
report(Host) ->
    gen_server:call(gen_mod:get_module_proc(Host, mod_event_pusher_tap), report).

%% Notifies the node of a session's previous process that the session was resumed elsewhere.
moved_away({User, Resource, Pid}, Host) ->
    Keeper = {gen_mod:get_module_proc(Host, mod_event_pusher_tap), node(Pid)},
    gen_server:cast(Keeper, {status, {moved_away, User, Resource, Pid}, 0, nothing}).

init([Host, Opts]) ->
    process_flag(trap_exit, true), % so that terminate/2 runs
    %% One mailbox in the order of arrival, so that an `in` precedes its `out`: off the heap, messages of several senders are
    %% inserted in parallel.
    process_flag(message_queue_data, on_heap),
    process_flag(fullsweep_after, 20), % otherwise binaries that were acknowledged long ago are kept
    process_flag(sensitive, true), % messages of users must not appear in a crash report
    Shared = atomics:new(?SHARED_PLACES, [{signed, true}]),
    atomics:put(Shared, ?MAX_ITEM, gen_mod:get_opt(max_item, Opts)),
    Fresh = #state{host = Host, epoch = uuid(), shared = Shared, online = event_pusher_tap_online:new()},
    State = watch(with_options(Opts, restored(gen_mod:get_opt(disk, Opts), Fresh))),
    event_pusher_tap_hooks:add(Host),
    event_pusher_tap_rooms:add(Host),
    gen_iq_handler:add_iq_handler(ejabberd_local, Host, ?NS_TAP, event_pusher_tap_component, process_iq),
    {ok, make_room(State)}.

with_options(Opts, #state{host = Host, shared = Shared} = State) ->
    MaxBytes = gen_mod:get_opt(queue_bytes, Opts),
    Component = gen_mod:get_opt(component, Opts),
    %% The limits of the queue keep the heap far below this; it is a safeguard.
    HeapWords = (4 * MaxBytes + 128 * 1024 * 1024) div erlang:system_info(wordsize),
    process_flag(max_heap_size, #{size => HeapWords, kill => true, error_logger => true}),
    Wrapper = event_pusher_tap_item:wrapper_bytes(Host, Component),
    event_pusher_tap_intake:open(Host, #intake{
        host = Host,
        keeper = self(),
        component = Component,
        max_bytes = MaxBytes,
        wrapper_bytes = Wrapper,
        shared = Shared
    }),
    State#state{
        component = Component,
        wrapper_bytes = Wrapper,
        node = gen_mod:get_opt(node, Opts),
        max_bytes = MaxBytes,
        max_items = gen_mod:get_opt(queue_items, Opts),
        window = gen_mod:get_opt(window, Opts),
        frozen_after_ms = 1000 * gen_mod:get_opt(frozen_after, Opts),
        default_max_item = gen_mod:get_opt(max_item, Opts)
    }.

terminate(Reason, #state{host = Host} = State) ->
    event_pusher_tap_intake:close(Host),
    gen_iq_handler:remove_iq_handler(ejabberd_local, Host, ?NS_TAP),
    event_pusher_tap_hooks:delete(Host),
    event_pusher_tap_rooms:delete(Host),
    Reason == shutdown andalso put_away(is_server_stopping(), drain(State)).

%% ejabberd ends its sessions before its modules.
is_server_stopping() ->
    whereis(ejabberd_sm) == undefined.

%% Items that sessions had passed before the hooks were removed.
drain(State) ->
    receive
        {'$gen_cast', {Kind, _, _, _} = Handed} when Kind == item; Kind == status -> drain(after_cast(Handed, State))
    after 0 -> State
    end.

code_change(_OldVsn, State, _Extra) ->
    {ok, State}.

format_status(Status) ->
    maps:map(
        fun
            (state, #state{} = State) -> facts(State);
            (Key, _) when Key == message; Key == log; Key == queue -> [];
            (_Key, Value) -> Value
        end,
        Status
    ).

handle_call(report, _From, State) ->
    {reply, facts(State), State, flush_after(State)};
handle_call(_Request, _From, State) ->
    {reply, {error, badarg}, State, flush_after(State)}.

handle_cast(Request, State) ->
    Changed = after_cast(Request, State),
    {noreply, Changed, flush_after(Changed)}.

handle_info(Info, State) ->
    Changed = after_info(Info, State),
    {noreply, Changed, flush_after(Changed)}.

%% Items are written and sent when no other message has arrived: those that arrive together are sent together.
flush_after(#state{fresh = 0}) -> infinity;
flush_after(_State) -> 0.

after_cast({item, Rank, Bytes, Packed}, State) ->
    taken(take(Rank, Bytes, Packed, State));
after_cast({status, Change, Bytes, Packed}, #state{shared = Shared} = State) ->
    case changed(Change, State) of
        true when is_binary(Packed) ->
            taken(take(minor, Bytes, Packed, State));
        true ->
            atomics:add(Shared, ?REFUSED, 1),
            take_refused(State);
        false ->
            atomics:sub(Shared, ?UNTAKEN_BYTES, Bytes),
            State
    end;
after_cast({resume, Connection, IQ, Attrs}, State) ->
    asked(Connection, IQ, Attrs, take_refused(State));
after_cast({ack, Pid, IQ, Attrs}, #state{pusher = #pusher{pid = Pid}} = State) ->
    Acknowledged = ack(Attrs, State),
    fxml:get_attr_s(<<"report">>, Attrs) == <<"queue">> andalso (Pid ! {route, xmpp:make_iq_result(IQ, fill(Acknowledged))}),
    Acknowledged;
after_cast({ack, Pid, IQ, _Attrs}, #state{pusher = none} = State) ->
    Pid ! {route, not_resumed(IQ)},
    State;
%% If the active one has an id, the requesting one has lost the feed and is refused; nothing is acknowledged.
after_cast({ack, Pid, IQ, _Attrs}, #state{pusher = #pusher{instance = Instance}} = State) when Instance /= none ->
    refuse(Pid, IQ, State);
after_cast({ack, Pid, IQ, _Attrs}, State) ->
    stand_by(Pid, IQ, State);
after_cast({options, Opts}, State) ->
    Changed = detach_other(with_options(Opts, State), State),
    make_room(flush(kept(gen_mod:get_opt(disk, Opts), Changed)));
after_cast(_Request, State) ->
    State.

after_info(timeout, State) ->
    make_room(flush(State));
after_info(check, State) ->
    checking(checked(State#state{checking = false}));
after_info({'DOWN', _, process, Pid, _}, #state{host = Host, pusher = #pusher{pid = Pid}, queue = Queue} = State) ->
    ?INFO_MSG("The event pusher of ~ts has gone; ~B stanzas wait for it", [Host, event_pusher_tap_queue:count(Queue)]),
    make_room(wake_standby(detached(State)));
after_info({'DOWN', _, process, Pid, _}, #state{standby = Standby} = State) ->
    State#state{standby = maps:remove(Pid, Standby)};
after_info({'EXIT', Pid, _}, #state{pusher = #pusher{pid = Connection, writer = Writer}} = State) ->
    %% The component connects again, and gets what it has not acknowledged.
    event_pusher_tap_writer:is_process(Pid, Writer) andalso ejabberd_service:close(Connection),
    State;
after_info({{gone, Client}, _, process, _, _}, #state{host = Host} = State) ->
    event_pusher_tap_hooks:vanished(Client, Host),
    State;
after_info(_Info, State) ->
    State.

now_ms() ->
    erlang:monotonic_time(millisecond).

%%% Items of the hooks

take(Rank, Bytes, Packed, #state{shared = Shared, queue = Queue} = State) ->
    atomics:sub(Shared, ?UNTAKEN_BYTES, Bytes),
    Longer = event_pusher_tap_queue:add(Rank, Bytes, Packed, Queue),
    take_refused(recorded({item, {event_pusher_tap_queue:seq(Longer), Rank, Bytes, Packed}}, State#state{queue = Longer})).

recorded(_Entry, #state{disk = none, fresh = Fresh} = State) ->
    State#state{fresh = Fresh + 1};
recorded(Entry, #state{disk = Disk, fresh = Fresh} = State) ->
    State#state{disk = event_pusher_tap_disk:put(Entry, Disk), fresh = Fresh + 1}.

%% A full queue drops only what cannot be sent.
taken(#state{fresh = Fresh} = State) ->
    case Fresh >= ?BATCH orelse (is_full(State) andalso may_send(State)) of
        true -> make_room(flush(State));
        false -> make_room(State)
    end.

%% Items that were dropped before they were numbered leave their hole here.
take_refused(#state{shared = Shared, queue = Queue} = State) ->
    case atomics:exchange(Shared, ?REFUSED, 0) of
        0 -> State;
        Refused -> say_full(State#state{queue = event_pusher_tap_queue:skip(Refused, Queue)})
    end.

%% Whether the client was the first or the last one of its user, on all nodes.
changed(_Change, #state{watching = false}) ->
    false;
changed({moved_here, User, Resource, Pid}, #state{online = Online}) ->
    event_pusher_tap_online:came({User, Resource, Pid}, Online),
    false;
changed({moved_away, User, Resource, Pid}, #state{online = Online}) ->
    event_pusher_tap_online:went({User, Resource, Pid}, Online),
    false;
changed({came, User, Resource, Pid}, #state{host = Host, online = Online}) ->
    event_pusher_tap_online:came({User, Resource, Pid}, Online) == alone andalso not event_pusher_tap_online:elsewhere(User, Host);
changed({went, User, Resource, Pid}, #state{host = Host, online = Online}) ->
    event_pusher_tap_online:went({User, Resource, Pid}, Online) == alone andalso not event_pusher_tap_online:elsewhere(User, Host).

wanting(Wanted, #state{wanted = Wanted} = State) ->
    State;
wanting(Wanted, State) ->
    recorded({want, Wanted}, watch(State#state{wanted = Wanted})).

%% Sets the subscription of the hooks.
watch(#state{host = Host, wanted = {Want, _} = Wanted, shared = Shared, online = Online, watching = Watching} = State) ->
    event_pusher_tap_intake:set_wanted(Wanted, Shared),
    case lists:member(<<"status">>, Want) of
        Watching -> State;
        true -> event_pusher_tap_online:fill(Online, Host), State#state{watching = true};
        false -> event_pusher_tap_online:forget(Online), State#state{watching = false}
    end.

%%% Requests of the component

asked({Pid, _, _} = Connection, IQ, Attrs, State) ->
    Instance = instance(Attrs),
    case may_have_feed(Pid, Instance, State) of
        true -> resume(IQ, Attrs, checking(activate(Connection, {Instance, answers(Attrs)}, doubted(Attrs, State))));
        false -> refuse(Pid, IQ, State)
    end.

instance(Attrs) ->
    case fxml:get_attr(<<"pusher">>, Attrs) of
        {value, Instance} when byte_size(Instance) =< 64 -> Instance;
        _ -> none
    end.

answers(Attrs) ->
    fxml:get_attr_s(<<"probe">>, Attrs) == <<"true">>.

may_have_feed(_Pid, _Instance, #state{pusher = none}) -> true;
may_have_feed(Pid, _Instance, #state{pusher = #pusher{pid = Pid}}) -> true;
may_have_feed(_Pid, none, _State) -> true;
may_have_feed(_Pid, Instance, #state{pusher = #pusher{instance = Instance}}) -> true;
may_have_feed(_Pid, _Instance, #state{pusher = Pusher}) -> now_ms() - heard_at(Pusher) > ?SILENCE_MS.

heard_at(#pusher{heard = Heard}) ->
    atomics:get(Heard, 1).

refuse(Pid, IQ, #state{host = Host, standby = Standby} = State) ->
    is_map_key(Pid, Standby) orelse ?INFO_MSG("Another event pusher of ~ts stands by", [Host]),
    Pid ! {route, xmpp:make_error(IQ, #stanza_error{type = wait, reason = conflict})},
    stand_by(Pid, none, State).

activate({Pid, Socket, _}, {Instance, Answers}, #state{pusher = #pusher{pid = Pid, writer = Writer} = Pusher} = State) ->
    State#state{
        pusher = Pusher#pusher{
            instance = Instance,
            answers = Answers,
            writer = bounded(Writer, {Pid, Socket}, State),
            envelope = envelope(State)
        }
    };
activate({Pid, Socket, Heard}, {Instance, Answers}, #state{host = Host, pusher = Former, standby = Standby} = State) ->
    {Monitor, Others} =
        case maps:take(Pid, Standby) of
            {{Known, _}, Rest} -> {Known, Rest};
            error -> {erlang:monitor(process, Pid), Standby}
        end,
    Pusher = #pusher{
        pid = Pid,
        monitor = Monitor,
        instance = Instance,
        heard = Heard,
        answers = Answers,
        writer = event_pusher_tap_writer:start(Pid, Socket),
        envelope = envelope(State)
    },
    case Former of
        none ->
            State#state{pusher = Pusher, standby = Others};
        #pusher{pid = FormerPid, monitor = FormerMonitor, writer = FormerWriter} ->
            ?WARNING_MSG("Another connection takes the feed of ~ts over", [Host]),
            event_pusher_tap_writer:stop(FormerWriter),
            State#state{pusher = Pusher, standby = Others#{FormerPid => {FormerMonitor, none}}}
    end.

%% Each resume sends the queue again. If the connection resumes repeatedly and does not read, the unread part is discarded.
bounded(Writer, {Pid, Socket}, #state{max_bytes = MaxBytes}) ->
    case event_pusher_tap_writer:unwritten(Writer) > MaxBytes of
        true ->
            event_pusher_tap_writer:stop(Writer),
            event_pusher_tap_writer:start(Pid, Socket);
        false ->
            Writer
    end.

envelope(#state{host = Host, component = Component, epoch = Epoch}) ->
    event_pusher_tap_item:envelope(Host, Component, Epoch).

resume(IQ, Attrs, #state{host = Host, queue = Queue} = State) ->
    Rewound = event_pusher_tap_queue:rewind(
        case progress(Attrs, event_pusher_tap_queue:seq(Queue), State) of
            none -> Queue;
            H -> event_pusher_tap_queue:acknowledge(H, Queue)
        end
    ),
    Resumed = wanting({want(Attrs), dir(Attrs)}, State#state{queue = Rewound}),
    atomics:put(Resumed#state.shared, ?MAX_ITEM, max_item(Attrs, Resumed)),
    ?INFO_MSG("The event pusher of ~ts has resumed; ~B stanzas wait for it", [Host, event_pusher_tap_queue:count(Rewound)]),
    Answer = xmpp:encode(xmpp:make_iq_result(IQ, resumed(Resumed)), ?NS_COMPONENT),
    flush([fxml:element_to_binary(Answer)], Resumed).

%% By default messages.
want(Attrs) ->
    words(<<"want">>, Attrs, [<<"message">>]).

%% By default both, as for a pusher that does not know this attribute.
dir(Attrs) ->
    case [Dir || Dir <- ?BOTH_DIRECTIONS, lists:member(Dir, words(<<"dir">>, Attrs, []))] of
        [] -> ?BOTH_DIRECTIONS;
        Dirs -> Dirs
    end.

words(Name, Attrs, Default) ->
    case fxml:get_attr(Name, Attrs) of
        {value, Words} -> binary:split(Words, [<<" ">>, <<"\t">>, <<"\n">>], [global]);
        false -> Default
    end.

max_item(Attrs, #state{default_max_item = Default}) ->
    try binary_to_integer(fxml:get_attr_s(<<"max">>, Attrs)) of
        Max when Max >= ?LEAST_MAX_ITEM, Max < 1 bsl 60 -> Max;
        Max when Max > 0, Max < ?LEAST_MAX_ITEM -> ?LEAST_MAX_ITEM;
        _ -> Default
    catch
        error:badarg -> Default
    end.

%% The last number that the component has received; none if it is not between the previous one and `Most`, or for another epoch.
progress(Attrs, Most, #state{epoch = Epoch, queue = Queue}) ->
    Least = event_pusher_tap_queue:acked(Queue),
    case come_to(Attrs, Epoch) of
        H when is_integer(H), H >= Least, H =< Most -> H;
        _ -> none
    end.

come_to(Attrs, Epoch) ->
    case {fxml:get_attr_s(<<"epoch">>, Attrs), fxml:get_attr_s(<<"h">>, Attrs)} of
        {Epoch, Digits} when byte_size(Digits) =< 16 ->
            try binary_to_integer(Digits) catch error:badarg -> none end;
        _ ->
            none
    end.

resumed(#state{epoch = Epoch, node = Node, taken = Taken, queue = Queue} = State) ->
    From =
        case event_pusher_tap_queue:next(Queue) of
            {Next, _} -> Next;
            none -> event_pusher_tap_queue:seq(Queue) + 1
        end,
    #xmlel{
        name = <<"resumed">>,
        attrs = [
            {<<"xmlns">>, ?NS_TAP},
            {<<"epoch">>, Epoch},
            {<<"node">>, Node},
            {<<"from-seq">>, integer_to_binary(From)},
            {<<"taken">>, integer_to_binary(Taken)},
            {<<"dropped">>, integer_to_binary(event_pusher_tap_queue:dropped(Queue))}
            | fill_attributes(State)
        ]
    }.

fill(State) ->
    #xmlel{name = <<"queue">>, attrs = [{<<"xmlns">>, ?NS_TAP} | fill_attributes(State)]}.

%% The fill level of the queue.
fill_attributes(#state{shared = Shared, queue = Queue, max_bytes = MaxBytes, max_items = MaxItems}) ->
    [
        {<<"pending">>, integer_to_binary(event_pusher_tap_queue:count(Queue))},
        {<<"bytes">>, integer_to_binary(event_pusher_tap_queue:bytes(Queue))},
        {<<"max-bytes">>, integer_to_binary(MaxBytes)},
        {<<"max-items">>, integer_to_binary(MaxItems)},
        {<<"left-out">>, integer_to_binary(atomics:get(Shared, ?LEFT_OUT))}
    ].

ack(Attrs, #state{queue = Queue} = State) ->
    case progress(Attrs, event_pusher_tap_queue:sent(Queue), State) of
        none -> State;
        H -> flush(State#state{taken = H, queue = event_pusher_tap_queue:acknowledge(H, Queue)})
    end.

%% No pusher has resumed since the start of this module or since the last one disconnected: an error makes the component resume.
not_resumed(IQ) ->
    xmpp:make_error(IQ, xmpp:err_item_not_found()).

%%% Standby connections. They are notified when the feed is free. A connection that lost the feed to one without an id is refused
%%% no acknowledgement, so that two pushers do not take it from each other endlessly; the answer is delayed until the feed is free.

stand_by(Pid, IQ, #state{standby = Standby} = State) ->
    Monitor =
        case Standby of
            #{Pid := {Known, _}} -> Known;
            _ -> erlang:monitor(process, Pid)
        end,
    checking(State#state{standby = Standby#{Pid => {Monitor, IQ}}}).

wake_standby(#state{standby = Standby} = State) ->
    Woken = maps:map(
        fun
            (Pid, {Monitor, none}) -> Pid ! {route, to_component(set, <<"free">>, free(), State)}, {Monitor, none};
            (Pid, {Monitor, IQ}) -> Pid ! {route, not_resumed(IQ)}, {Monitor, none}
        end,
        Standby
    ),
    State#state{standby = Woken}.

free() ->
    #xmlel{name = <<"free">>, attrs = [{<<"xmlns">>, ?NS_TAP}]}.

to_component(Type, Id, Child, #state{host = Host, component = Component}) ->
    #iq{type = Type, id = Id, from = jid:make(Host), to = jid:make(Component), sub_els = [Child]}.

%%% A frozen pusher, whose connection looks alive. While another stands by, silence is followed by a probe; a pusher that reads
%%% answers it, and one that has stopped reading sends stanzas without being asked. Its connection is closed, so that it notices
%%% when it continues, and nothing else is routed to it.

checking(#state{checking = false, standby = Standby, pusher = #pusher{answers = true}, frozen_after_ms = Ms} = State) when
    map_size(Standby) > 0
->
    erlang:send_after(Ms div ?CHECKS, self(), check),
    State#state{checking = true};
checking(State) ->
    State.

checked(#state{pusher = #pusher{answers = true} = Pusher, standby = Standby} = State) when map_size(Standby) > 0 ->
    HeardAt = heard_at(Pusher),
    case Pusher of
        #pusher{heard_before = HeardAt, silent_checks = Silent} -> silent(Silent + 1, State);
        _ -> State#state{pusher = Pusher#pusher{heard_before = HeardAt, silent_checks = 0}}
    end;
checked(State) ->
    State.

silent(?CHECKS, State) ->
    evict(State);
silent(Checks, #state{pusher = #pusher{pid = Pid} = Pusher} = State) ->
    Checks == ?CHECKS div 2 andalso (Pid ! {route, to_component(get, <<"probe">>, #ping{}, State)}),
    State#state{pusher = Pusher#pusher{silent_checks = Checks}}.

evict(#state{host = Host, pusher = #pusher{pid = Pid, monitor = Monitor}, frozen_after_ms = Ms} = State) ->
    ?WARNING_MSG("The event pusher of ~ts has not answered for ~B ms: its connection is closed in favor of another", [Host, Ms]),
    erlang:demonitor(Monitor, [flush]),
    ejabberd_service:send(Pid, xmpp:serr_connection_timeout()),
    make_room(wake_standby(detached(State))).

%% A component that no longer has the feed is sent nothing more.
detach_other(#state{component = Component} = State, #state{component = Component}) ->
    State;
detach_other(State, _Former) ->
    (detached(State))#state{standby = #{}}.

detached(#state{pusher = Pusher, queue = Queue} = State) ->
    Pusher == none orelse event_pusher_tap_writer:stop(Pusher#pusher.writer),
    State#state{pusher = none, queue = event_pusher_tap_queue:rewind(Queue)}.

%%% Sending

flush(State) ->
    flush([], State).

%% The stanzas are sent before any item.
flush(First, State) ->
    feed(First, (written(State))#state{fresh = 0}).

feed(_First, #state{pusher = none} = State) ->
    State;
feed(First, #state{pusher = #pusher{writer = Writer}} = State) ->
    case sendable(First, 0, State) of
        {[], Fed} ->
            Fed;
        {Stanzas, Fed} ->
            event_pusher_tap_writer:write(lists:reverse(Stanzas), Writer),
            feed([], Fed)
    end.

%% Newest first.
sendable(Stanzas, Bytes, State) when Bytes >= ?WRITE_BYTES ->
    {Stanzas, State};
sendable(Stanzas, Bytes, #state{queue = Queue} = State) ->
    case {may_send(State), event_pusher_tap_queue:next(Queue)} of
        {true, {_, Rank}} ->
            {{_, _, Size, _} = Item, Rest} = event_pusher_tap_queue:send_next(Rank, Queue),
            sendable([to_xml(Item, State) | Stanzas], Bytes + Size, State#state{queue = Rest});
        _ ->
            {Stanzas, State}
    end.

%% Not while the window is full, or more than half of the bytes are in flight, because those cannot be dropped.
may_send(#state{pusher = none}) ->
    false;
may_send(#state{window = Window, max_bytes = MaxBytes, queue = Queue}) ->
    {Count, InFlight} = event_pusher_tap_queue:in_flight(Queue),
    Count < Window andalso InFlight * 2 < MaxBytes.

to_xml({Seq, _, _, Packed}, #state{shared = Shared, wrapper_bytes = Wrapper, pusher = #pusher{envelope = Envelope}}) ->
    event_pusher_tap_item:to_xml(Seq, Packed, Envelope, {atomics:get(Shared, ?MAX_ITEM), Wrapper}).

%%% The queue on disk

%% Continues the stored queue.
restored(false, #state{host = Host} = State) ->
    _ = file:delete(event_pusher_tap_disk:path(Host)),
    numbered(State);
restored(true, #state{host = Host} = State) ->
    case event_pusher_tap_disk:open(event_pusher_tap_disk:path(Host)) of
        {ok, Disk, nothing} ->
            rewritten((numbered(State))#state{disk = Disk});
        {ok, Disk, {Epoch, Wanted, Numbers, Items}} ->
            _ = event_pusher_tap_disk:take_numbers(Host),
            Queue = event_pusher_tap_queue:restored(Numbers, Items),
            Known = event_pusher_tap_queue:seq(Queue),
            rewritten(State#state{epoch = Epoch, wanted = Wanted, queue = Queue, disk = Disk, recovered = Known});
        {error, Reason} ->
            without_disk(Reason, State)
    end.

%% A cleanly stopped server passes its numbers to its next start, also without a queue on disk: because the numbering continues,
%% the pusher finds exactly the unacknowledged items missing.
numbered(#state{host = Host} = State) ->
    case event_pusher_tap_disk:take_numbers(Host) of
        {Epoch, Seq, Dropped} ->
            State#state{epoch = Epoch, queue = event_pusher_tap_queue:restored({Seq, Seq, Dropped}, []), recovered = Seq};
        none ->
            State
    end.

%% The component has received more than the disk contains: the disk was restored from a backup. The component would take new
%% items with these numbers for known ones.
doubted(Attrs, #state{host = Host, epoch = Epoch, recovered = Known, disk = Disk} = State) when is_integer(Known) ->
    Trusted = State#state{recovered = none},
    case come_to(Attrs, Epoch) of
        H when is_integer(H), H > Known ->
            ?WARNING_MSG("The event pusher of ~ts has come further than the queue on disk: a new epoch begins", [Host]),
            Renewed = Trusted#state{epoch = uuid(), taken = 0},
            case Disk of
                none -> Renewed;
                _ -> rewritten(Renewed)
            end;
        _ ->
            Trusted
    end;
doubted(_Attrs, State) ->
    State.

kept(true, #state{host = Host, disk = none} = State) ->
    case event_pusher_tap_disk:open(event_pusher_tap_disk:path(Host)) of
        {ok, Disk, _OfAnotherEpoch} -> rewritten(State#state{disk = Disk});
        {error, Reason} -> without_disk(Reason, State)
    end;
kept(false, #state{disk = Disk} = State) when Disk /= none ->
    event_pusher_tap_disk:remove(Disk),
    State#state{disk = none};
kept(_Wanted, State) ->
    State.

written(#state{disk = Disk, fresh = Fresh} = State) when Disk == none; Fresh == 0 ->
    State;
written(#state{disk = Disk, queue = Queue} = State) ->
    case event_pusher_tap_disk:write(event_pusher_tap_queue:numbers(Queue), Disk) of
        {ok, Written} ->
            case event_pusher_tap_disk:is_stale(event_pusher_tap_queue:bytes(Queue), Written) of
                true -> rewritten(State#state{disk = Written});
                false -> State#state{disk = Written}
            end;
        {error, Reason} ->
            without_disk(Reason, State)
    end.

rewritten(#state{epoch = Epoch, wanted = Wanted, queue = Queue, disk = Disk} = State) ->
    Content = {Epoch, Wanted, event_pusher_tap_queue:numbers(Queue), event_pusher_tap_queue:items(Queue)},
    case event_pusher_tap_disk:rewrite(Content, Disk) of
        {ok, Rewritten} -> State#state{disk = Rewritten};
        {error, Reason} -> without_disk(Reason, State)
    end.

%% After a restart the file may use numbers a second time, and the pusher would take new stanzas for old ones: a new epoch
%% distinguishes them.
without_disk(Reason, #state{host = Host, disk = Disk, pusher = Pusher, standby = Standby} = State) ->
    ?ERROR_MSG("The event pusher's queue of ~ts cannot be kept on disk (~p) and is only in memory now", [Host, Reason]),
    Disk == none orelse event_pusher_tap_disk:remove(Disk),
    Others =
        case Pusher of
            none -> Standby;
            #pusher{pid = Pid, monitor = Monitor} -> Standby#{Pid => {Monitor, none}}
        end,
    (detached(State))#state{epoch = uuid(), taken = 0, disk = none, standby = Others}.

put_away(false, #state{disk = none}) ->
    ok;
put_away(true, #state{host = Host, epoch = Epoch, disk = none, queue = Queue}) ->
    Dropped = event_pusher_tap_queue:dropped(Queue) + event_pusher_tap_queue:count(Queue),
    event_pusher_tap_disk:leave_numbers(Host, {Epoch, event_pusher_tap_queue:seq(Queue), Dropped});
put_away(_IsServerStopping, #state{disk = Disk, queue = Queue}) ->
    case event_pusher_tap_disk:write(event_pusher_tap_queue:numbers(Queue), Disk) of
        {ok, Written} -> event_pusher_tap_disk:close(Written);
        {error, _} -> event_pusher_tap_disk:remove(Disk)
    end.

%%% Limits

make_room(#state{queue = Queue, max_bytes = MaxBytes, max_items = MaxItems} = State) ->
    Shrunk = event_pusher_tap_queue:shrink(MaxBytes, MaxItems, Queue),
    Kept = State#state{queue = Shrunk},
    case event_pusher_tap_queue:dropped(Shrunk) == event_pusher_tap_queue:dropped(Queue) of
        true -> Kept#state{full = State#state.full andalso is_half_full(Kept)};
        false -> say_full(Kept)
    end.

is_full(#state{queue = Queue, max_bytes = MaxBytes, max_items = MaxItems}) ->
    event_pusher_tap_queue:bytes(Queue) > MaxBytes orelse event_pusher_tap_queue:count(Queue) > MaxItems.

is_half_full(#state{queue = Queue, max_bytes = MaxBytes, max_items = MaxItems}) ->
    event_pusher_tap_queue:bytes(Queue) * 2 > MaxBytes orelse event_pusher_tap_queue:count(Queue) * 2 > MaxItems.

say_full(#state{full = true} = State) ->
    State;
say_full(#state{host = Host} = State) ->
    ?WARNING_MSG("The event pusher's queue of ~ts is full: the oldest stanzas are dropped", [Host]),
    State#state{full = true}.

uuid() ->
    <<A:32, B:16, C:16, D:16, E:48>> = crypto:strong_rand_bytes(16),
    iolist_to_binary(io_lib:format("~8.16.0b-~4.16.0b-~4.16.0b-~4.16.0b-~12.16.0b", [A, B, C, D, E])).

%%% Counters for the operator

facts(#state{host = Host, epoch = Epoch, pusher = Pusher, standby = Standby, shared = Shared, queue = Queue} = State) ->
    Attached =
        case Pusher of
            none -> 0;
            #pusher{} -> 1
        end,
    {InFlight, _} = event_pusher_tap_queue:in_flight(Queue),
    {
        Host,
        State#state.node,
        Attached,
        maps:size(Standby),
        Epoch,
        event_pusher_tap_queue:seq(Queue),
        event_pusher_tap_queue:sent(Queue),
        event_pusher_tap_queue:acked(Queue),
        event_pusher_tap_queue:count(Queue),
        event_pusher_tap_queue:bytes(Queue),
        InFlight,
        event_pusher_tap_queue:dropped(Queue) + atomics:get(Shared, ?REFUSED),
        atomics:get(Shared, ?FAILED_IN) + atomics:get(Shared, ?FAILED_OUT)
    }.
