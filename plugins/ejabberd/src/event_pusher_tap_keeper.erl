%% event_pusher_tap_keeper: one process per virtual host. It numbers what the hooks hand in, keeps the queue and answers
%% the component.
%%
%% The feed goes to one connection, the active one: the last that resumed. Another pusher that asks while it is alive is
%% refused with `conflict` and stands by; it may have the feed when the active one has gone, or has said nothing for
%% longer than a pusher can. A pusher that names the same instance is the active one come back, and one that names none
%% takes the feed over.
%%
%% With the option `disk` the queue is written before it is sent, so that its epoch and numbers outlive this process.
%% What has come meanwhile is written at once; only the keeper waits for the disk.

-module(event_pusher_tap_keeper).

-behaviour(gen_server).

-export([reload/2, report/1, moved_away/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3, format_status/1]).

-include("logger.hrl").
-include("xmpp.hrl").
-include("event_pusher_tap.hrl").

%% A pusher repeats its acknowledgement every 30 seconds. One that has been silent for this long has no claim.
-define(SILENCE_MS, 100000).

-record(pusher, {
    pid :: pid(),
    monitor :: reference(),
    %% What names the pusher's process, so that it is known again when it has reconnected.
    instance :: binary() | none,
    heard_at :: integer()
}).

-record(state, {
    host :: binary(),
    component :: binary(),
    node :: binary(),
    epoch :: binary(),
    max_bytes :: pos_integer(),
    max_items :: pos_integer(),
    window :: pos_integer(),
    %% What holds until a component says how much it takes, which is in `shared`.
    default_max_item :: pos_integer(),
    shared :: atomics:atomics_ref(),
    %% The words of the last resume. Until there was one messages are kept, since that is what a resume that names nothing
    %% means.
    want = [<<"message">>] :: [binary()],
    pusher = none :: none | #pusher{},
    %% Other connections that have asked for the feed, with an acknowledgement that waits for an answer.
    standby = #{} :: #{pid() => {reference(), none | iq()}},
    queue = event_pusher_tap_queue:new() :: event_pusher_tap_queue:queue(),
    %% Whether it has been said that the queue is full.
    full = false :: boolean(),
    online :: ets:tid(),
    %% Whether `online` is kept up.
    watching = false :: boolean(),
    disk = none :: none | event_pusher_tap_disk:disk(),
    %% How many entries have not been written yet.
    unwritten = 0 :: non_neg_integer(),
    %% What the disk knew as the last number, until the first resume has shown that it was.
    recovered = none :: none | non_neg_integer()
}).

%% So many items are written together at most.
-define(BATCH, 1000).

reload(Host, Opts) ->
    gen_server:cast(gen_mod:get_module_proc(Host, mod_event_pusher_tap), {options, Opts}).

%% Numbers of the present epoch, in the order of the operator's table.
report(Host) ->
    gen_server:call(gen_mod:get_module_proc(Host, mod_event_pusher_tap), report).

%% Tells the node of a session's former process that it goes on elsewhere.
moved_away({User, Resource, Pid}, Host) ->
    Keeper = {gen_mod:get_module_proc(Host, mod_event_pusher_tap), node(Pid)},
    gen_server:cast(Keeper, {status, {moved_away, User, Resource, Pid}, 0, nothing}).

init([Host, Opts]) ->
    process_flag(trap_exit, true), % so that terminate/2 runs
    %% One mailbox in the order of arrival, so that an `in` stands before the `out` that it caused: off the heap, messages
    %% of several senders are put in side by side.
    process_flag(message_queue_data, on_heap),
    process_flag(fullsweep_after, 20), % else binaries that were acknowledged long ago are kept
    process_flag(sensitive, true), % what users say has no place in a crash report
    Shared = atomics:new(?SHARED_PLACES, [{signed, true}]),
    atomics:put(Shared, ?MAX_ITEM, gen_mod:get_opt(max_item, Opts)),
    Fresh = #state{host = Host, epoch = uuid(), shared = Shared, online = event_pusher_tap_online:new()},
    State = watch(with_options(Opts, restored(gen_mod:get_opt(disk, Opts), Fresh))),
    event_pusher_tap_hooks:add(Host),
    gen_iq_handler:add_iq_handler(ejabberd_local, Host, ?NS_TAP, event_pusher_tap_component, process_iq),
    {ok, make_room(State)}.

with_options(Opts, #state{host = Host, shared = Shared} = State) ->
    MaxBytes = gen_mod:get_opt(queue_bytes, Opts),
    Component = gen_mod:get_opt(component, Opts),
    %% The bounds of the queue keep the heap far below this: it is there for what nobody thought of.
    HeapWords = (4 * MaxBytes + 128 * 1024 * 1024) div erlang:system_info(wordsize),
    process_flag(max_heap_size, #{size => HeapWords, kill => true, error_logger => true}),
    event_pusher_tap_door:open(
        Host, #door{host = Host, keeper = self(), component = Component, max_bytes = MaxBytes, shared = Shared}
    ),
    State#state{
        component = Component,
        node = gen_mod:get_opt(node, Opts),
        max_bytes = MaxBytes,
        max_items = gen_mod:get_opt(queue_items, Opts),
        window = gen_mod:get_opt(window, Opts),
        default_max_item = gen_mod:get_opt(max_item, Opts)
    }.

terminate(Reason, #state{host = Host} = State) ->
    event_pusher_tap_door:close(Host),
    gen_iq_handler:remove_iq_handler(ejabberd_local, Host, ?NS_TAP),
    event_pusher_tap_hooks:delete(Host),
    Reason == shutdown andalso put_away(is_server_stopping(), drain(State)).

%% ejabberd ends its sessions before its modules.
is_server_stopping() ->
    whereis(ejabberd_sm) == undefined.

%% What sessions had handed in before the hooks were gone.
drain(State) ->
    receive
        {'$gen_cast', {Kind, _, _, _} = Handed} when Kind == item; Kind == status -> drain(heard(Handed, State))
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
    {reply, facts(State), State, patience(State)};
handle_call(_Request, _From, State) ->
    {reply, {error, badarg}, State, patience(State)}.

handle_cast(Said, State) ->
    Heard = heard(Said, State),
    {noreply, Heard, patience(Heard)}.

handle_info(Said, State) ->
    Noticed = noticed(Said, State),
    {noreply, Noticed, patience(Noticed)}.

%% What is not written yet is written when nothing else has come.
patience(#state{unwritten = 0}) -> infinity;
patience(_State) -> 0.

heard({item, Rank, Bytes, Packed}, State) ->
    taken(take(Rank, Bytes, Packed, State));
heard({status, Change, Bytes, Packed}, #state{shared = Shared} = State) ->
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
heard({resume, Pid, IQ, Attrs}, State) ->
    asked(Pid, IQ, Attrs, take_refused(State));
heard({ack, Pid, IQ, Attrs}, #state{pusher = #pusher{pid = Pid} = Pusher} = State) ->
    Acknowledged = ack(Attrs, State#state{pusher = Pusher#pusher{heard_at = now_ms()}}),
    fxml:get_attr_s(<<"report">>, Attrs) == <<"queue">> andalso (Pid ! {route, xmpp:make_iq_result(IQ, fill(Acknowledged))}),
    Acknowledged;
heard({ack, Pid, IQ, _Attrs}, #state{pusher = none} = State) ->
    Pid ! {route, not_resumed(IQ)},
    State;
%% Where the active one has a name, who asks for its place is refused: to tell this one so takes the feed from nobody.
heard({ack, Pid, IQ, _Attrs}, #state{pusher = #pusher{instance = Instance}} = State) when Instance /= none ->
    Pid ! {route, not_resumed(IQ)},
    stand_by(Pid, none, State);
heard({ack, Pid, IQ, _Attrs}, State) ->
    stand_by(Pid, IQ, State);
heard({options, Opts}, State) ->
    Changed = detach_other(with_options(Opts, State), State),
    make_room(flush(kept(gen_mod:get_opt(disk, Opts), Changed)));
heard(_Said, State) ->
    State.

noticed(timeout, State) ->
    make_room(flush(State));
noticed({'DOWN', _, process, Pid, _}, #state{host = Host, pusher = #pusher{pid = Pid}, queue = Queue} = State) ->
    ?INFO_MSG("The event pusher of ~ts has gone; ~B stanzas wait for it", [Host, event_pusher_tap_queue:count(Queue)]),
    make_room(wake_standby(State#state{pusher = none, queue = event_pusher_tap_queue:rewind(Queue)}));
noticed({'DOWN', _, process, Pid, _}, #state{standby = Standby} = State) ->
    State#state{standby = maps:remove(Pid, Standby)};
noticed({{gone, Client}, _, process, _, _}, #state{host = Host} = State) ->
    event_pusher_tap_hooks:vanished(Client, Host),
    State;
noticed(_Said, State) ->
    State.

now_ms() ->
    erlang:monotonic_time(millisecond).

%%% What the hooks hand in

take(Rank, Bytes, Packed, #state{shared = Shared, queue = Queue} = State) ->
    atomics:sub(Shared, ?UNTAKEN_BYTES, Bytes),
    Longer = event_pusher_tap_queue:add(Rank, Bytes, Packed, Queue),
    take_refused(noted({item, {event_pusher_tap_queue:seq(Longer), Rank, Bytes, Packed}}, State#state{queue = Longer})).

noted(_Entry, #state{disk = none} = State) ->
    State;
noted(Entry, #state{disk = Disk, unwritten = Unwritten} = State) ->
    State#state{disk = event_pusher_tap_disk:put(Entry, Disk), unwritten = Unwritten + 1}.

taken(#state{unwritten = Unwritten} = State) when Unwritten > 0, Unwritten < ?BATCH ->
    make_room(State);
taken(State) ->
    make_room(flush(State)).

%% What found the door too full was never numbered: it leaves its hole here.
take_refused(#state{shared = Shared, queue = Queue} = State) ->
    case atomics:exchange(Shared, ?REFUSED, 0) of
        0 -> State;
        Refused -> say_full(State#state{queue = event_pusher_tap_queue:skip(Refused, Queue)})
    end.

%% Whether it is news that a client came or went: it was the first or the last one of its user, on all nodes.
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

wanting(Want, #state{want = Want} = State) ->
    State;
wanting(Want, State) ->
    noted({want, Want}, watch(State#state{want = Want})).

%% Has the hooks hand in what is wanted.
watch(#state{host = Host, want = Want, shared = Shared, online = Online, watching = Watching} = State) ->
    event_pusher_tap_door:set_want(Want, Shared),
    case lists:member(<<"status">>, Want) of
        Watching -> State;
        true -> event_pusher_tap_online:fill(Online, Host), State#state{watching = true};
        false -> event_pusher_tap_online:forget(Online), State#state{watching = false}
    end.

%%% What the component asks

asked(Pid, IQ, Attrs, State) ->
    Instance = instance(Attrs),
    case may_have_feed(Pid, Instance, State) of
        true -> resume(IQ, Attrs, doubted(Attrs, activate(Pid, Instance, State)));
        false -> refuse(Pid, IQ, State)
    end.

instance(Attrs) ->
    case fxml:get_attr(<<"pusher">>, Attrs) of
        {value, Instance} when byte_size(Instance) =< 64 -> Instance;
        _ -> none
    end.

may_have_feed(_Pid, _Instance, #state{pusher = none}) -> true;
may_have_feed(Pid, _Instance, #state{pusher = #pusher{pid = Pid}}) -> true;
may_have_feed(_Pid, none, _State) -> true;
may_have_feed(_Pid, Instance, #state{pusher = #pusher{instance = Instance}}) -> true;
may_have_feed(_Pid, _Instance, #state{pusher = #pusher{heard_at = HeardAt}}) -> now_ms() - HeardAt > ?SILENCE_MS.

refuse(Pid, IQ, #state{host = Host, standby = Standby} = State) ->
    is_map_key(Pid, Standby) orelse ?INFO_MSG("Another event pusher of ~ts stands by", [Host]),
    Pid ! {route, xmpp:make_error(IQ, #stanza_error{type = wait, reason = conflict})},
    stand_by(Pid, none, State).

activate(Pid, Instance, #state{pusher = #pusher{pid = Pid} = Pusher} = State) ->
    State#state{pusher = Pusher#pusher{instance = Instance, heard_at = now_ms()}};
activate(Pid, Instance, #state{host = Host, pusher = Former, standby = Standby} = State) ->
    {Monitor, Others} =
        case maps:take(Pid, Standby) of
            {{Known, _}, Rest} -> {Known, Rest};
            error -> {erlang:monitor(process, Pid), Standby}
        end,
    Pusher = #pusher{pid = Pid, monitor = Monitor, instance = Instance, heard_at = now_ms()},
    case Former of
        none ->
            State#state{pusher = Pusher, standby = Others};
        #pusher{pid = FormerPid, monitor = FormerMonitor} ->
            ?WARNING_MSG("Another connection takes the feed of ~ts over", [Host]),
            State#state{pusher = Pusher, standby = Others#{FormerPid => {FormerMonitor, none}}}
    end.

resume(IQ, Attrs, #state{host = Host, pusher = #pusher{pid = Pid}, queue = Queue} = State) ->
    Rewound = event_pusher_tap_queue:rewind(
        case progress(Attrs, event_pusher_tap_queue:seq(Queue), State) of
            none -> Queue;
            H -> event_pusher_tap_queue:acknowledge(H, Queue)
        end
    ),
    Resumed = wanting(want(Attrs), State#state{queue = Rewound}),
    atomics:put(Resumed#state.shared, ?MAX_ITEM, max_item(Attrs, Resumed)),
    ?INFO_MSG("The event pusher of ~ts has resumed; ~B stanzas wait for it", [Host, event_pusher_tap_queue:count(Rewound)]),
    Pid ! {route, xmpp:make_iq_result(IQ, resumed(Resumed))},
    flush(Resumed).

%% Absent means messages.
want(Attrs) ->
    case fxml:get_attr(<<"want">>, Attrs) of
        {value, Want} -> binary:split(Want, [<<" ">>, <<"\t">>, <<"\n">>], [global]);
        false -> [<<"message">>]
    end.

max_item(Attrs, #state{default_max_item = Default}) ->
    try binary_to_integer(fxml:get_attr_s(<<"max">>, Attrs)) of
        Max when Max >= ?LEAST_MAX_ITEM, Max < 1 bsl 60 -> Max;
        Max when Max > 0, Max < ?LEAST_MAX_ITEM -> ?LEAST_MAX_ITEM;
        _ -> Default
    catch
        error:badarg -> Default
    end.

%% How far the component has come, or none when that is not between what it said before and `Most`, or when it speaks of
%% another epoch.
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

resumed(#state{epoch = Epoch, node = Node, queue = Queue} = State) ->
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
            {<<"dropped">>, integer_to_binary(event_pusher_tap_queue:dropped(Queue))}
            | fill_attributes(State)
        ]
    }.

fill(State) ->
    #xmlel{name = <<"queue">>, attrs = [{<<"xmlns">>, ?NS_TAP} | fill_attributes(State)]}.

%% How full the queue is.
fill_attributes(#state{queue = Queue, max_bytes = MaxBytes, max_items = MaxItems}) ->
    [
        {<<"pending">>, integer_to_binary(event_pusher_tap_queue:count(Queue))},
        {<<"bytes">>, integer_to_binary(event_pusher_tap_queue:bytes(Queue))},
        {<<"max-bytes">>, integer_to_binary(MaxBytes)},
        {<<"max-items">>, integer_to_binary(MaxItems)}
    ].

ack(Attrs, #state{queue = Queue} = State) ->
    case progress(Attrs, event_pusher_tap_queue:sent(Queue), State) of
        none -> State;
        H -> flush(State#state{queue = event_pusher_tap_queue:acknowledge(H, Queue)})
    end.

%% Nobody has resumed since this module was started or the last pusher went: an error makes the component resume.
not_resumed(IQ) ->
    xmpp:make_error(IQ, xmpp:err_item_not_found()).

%%% Who stands by. A connection that had the feed until one without a name took it over is told nothing, so that two
%%% pushers do not take it from each other for ever; the answer to what it acknowledges waits until the feed is free, and
%%% then makes it resume.

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

%% A component that no longer has the feed is left alone with what it was sent.
detach_other(#state{component = Component} = State, #state{component = Component}) ->
    State;
detach_other(#state{queue = Queue} = State, _Former) ->
    State#state{pusher = none, standby = #{}, queue = event_pusher_tap_queue:rewind(Queue)}.

%%% What is sent

%% Nothing more while the window is full, or more than half of the bytes are in flight: those could not be dropped.
flush(State) ->
    feed(written(State)).

feed(#state{pusher = none} = State) ->
    State;
feed(#state{window = Window, max_bytes = MaxBytes, queue = Queue} = State) ->
    case {event_pusher_tap_queue:in_flight(Queue), event_pusher_tap_queue:next(Queue)} of
        {{Count, Bytes}, {_, Rank}} when Count < Window, Bytes * 2 < MaxBytes ->
            {Item, Rest} = event_pusher_tap_queue:send_next(Rank, Queue),
            send(Item, State),
            feed(State#state{queue = Rest});
        _ ->
            State
    end.

%% Straight to the connection: the router would share stanzas out among several connections of one component.
send(Item, #state{host = Host, component = Component, epoch = Epoch, shared = Shared, pusher = #pusher{pid = Pid}}) ->
    Pid ! {route, event_pusher_tap_door:unpack(Item, {Host, Component, Epoch, atomics:get(Shared, ?MAX_ITEM)})}.

%%% What is kept on disk

%% Goes on where an earlier life ended.
restored(false, #state{host = Host} = State) ->
    _ = file:delete(event_pusher_tap_disk:path(Host)),
    numbered(State);
restored(true, #state{host = Host} = State) ->
    case event_pusher_tap_disk:open(event_pusher_tap_disk:path(Host)) of
        {ok, Disk, nothing} ->
            rewritten((numbered(State))#state{disk = Disk});
        {ok, Disk, {Epoch, Want, Numbers, Items}} ->
            _ = event_pusher_tap_disk:take_numbers(Host),
            Queue = event_pusher_tap_queue:restored(Numbers, Items),
            Known = event_pusher_tap_queue:seq(Queue),
            rewritten(State#state{epoch = Epoch, want = Want, queue = Queue, disk = Disk, recovered = Known});
        {error, Reason} ->
            without_disk(Reason, State)
    end.

%% A server that was stopped in order leaves its numbers to its next start, without a queue on disk too: with the numbers
%% going on, the pusher finds what was not acknowledged missing, and no more than that.
numbered(#state{host = Host} = State) ->
    case event_pusher_tap_disk:take_numbers(Host) of
        {Epoch, Seq, Dropped} ->
            State#state{epoch = Epoch, queue = event_pusher_tap_queue:restored({Seq, Seq, Dropped}, []), recovered = Seq};
        none ->
            State
    end.

%% A component that has come further than the disk: what is there was put back from a backup. It would take what has had
%% these numbers since for what it knows.
doubted(Attrs, #state{host = Host, epoch = Epoch, recovered = Known, disk = Disk} = State) when is_integer(Known) ->
    Trusted = State#state{recovered = none},
    case come_to(Attrs, Epoch) of
        H when is_integer(H), H > Known ->
            ?WARNING_MSG("The event pusher of ~ts has come further than the queue on disk: a new epoch begins", [Host]),
            Renewed = Trusted#state{epoch = uuid()},
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
    State#state{disk = none, unwritten = 0};
kept(_Wanted, State) ->
    State.

written(#state{unwritten = 0} = State) ->
    State;
written(#state{disk = Disk, queue = Queue} = State) ->
    case event_pusher_tap_disk:write(event_pusher_tap_queue:numbers(Queue), Disk) of
        {ok, Written} ->
            case event_pusher_tap_disk:is_stale(event_pusher_tap_queue:bytes(Queue), Written) of
                true -> rewritten(State#state{disk = Written, unwritten = 0});
                false -> State#state{disk = Written, unwritten = 0}
            end;
        {error, Reason} ->
            without_disk(Reason, State)
    end.

rewritten(#state{epoch = Epoch, want = Want, queue = Queue, disk = Disk} = State) ->
    Content = {Epoch, Want, event_pusher_tap_queue:numbers(Queue), event_pusher_tap_queue:items(Queue)},
    case event_pusher_tap_disk:rewrite(Content, Disk) of
        {ok, Rewritten} -> State#state{disk = Rewritten, unwritten = 0};
        {error, Reason} -> without_disk(Reason, State)
    end.

%% The file may give numbers a second time after a restart, and the pusher would take new stanzas for old ones: a new
%% epoch keeps the two apart.
without_disk(Reason, #state{host = Host, disk = Disk, pusher = Pusher, standby = Standby, queue = Queue} = State) ->
    ?ERROR_MSG("The event pusher's queue of ~ts cannot be kept on disk (~p) and is only in memory now", [Host, Reason]),
    Disk == none orelse event_pusher_tap_disk:remove(Disk),
    Others =
        case Pusher of
            none -> Standby;
            #pusher{pid = Pid, monitor = Monitor} -> Standby#{Pid => {Monitor, none}}
        end,
    State#state{
        epoch = uuid(),
        disk = none,
        unwritten = 0,
        pusher = none,
        standby = Others,
        queue = event_pusher_tap_queue:rewind(Queue)
    }.

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

%%% The bounds

make_room(#state{queue = Queue, max_bytes = MaxBytes, max_items = MaxItems} = State) ->
    Shrunk = event_pusher_tap_queue:shrink(MaxBytes, MaxItems, Queue),
    Kept = State#state{queue = Shrunk},
    case event_pusher_tap_queue:dropped(Shrunk) == event_pusher_tap_queue:dropped(Queue) of
        true -> Kept#state{full = State#state.full andalso is_half_full(Kept)};
        false -> say_full(Kept)
    end.

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

%%% For the operator

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
