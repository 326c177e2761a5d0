%% event_pusher_tap_queue: the numbered items of one virtual host that are not yet acknowledged. Pure.
%%
%% Messages and minor items (presence, iq, status, copies) are kept separately, because minor ones are dropped first; the lowest number
%% of both is sent next. The number of a dropped item is not used again.

-module(event_pusher_tap_queue).

-export([new/0, restored/2, add/4, skip/2, next/1, send_next/2, rewind/1, acknowledge/2, shrink/3]).
-export([seq/1, acked/1, sent/1, count/1, bytes/1, in_flight/1, dropped/1, numbers/1, items/1]).

-export_type([queue/0, item/0]).

-type rank() :: message | minor.
-type item() :: {Seq :: pos_integer(), rank(), Bytes :: pos_integer(), Packed :: binary()}.

-record(queue, {
    %% Not sent yet, or to be repeated.
    messages = queue:new() :: queue:queue(item()),
    minors = queue:new() :: queue:queue(item()),
    %% Sent and not acknowledged.
    in_flight = queue:new() :: queue:queue(item()),
    in_flight_count = 0 :: non_neg_integer(),
    in_flight_bytes = 0 :: non_neg_integer(),
    %% The number of the last item; items up to `sent` were sent or dropped, those up to `acked` are acknowledged.
    seq = 0 :: non_neg_integer(),
    sent = 0 :: non_neg_integer(),
    acked = 0 :: non_neg_integer(),
    count = 0 :: non_neg_integer(),
    bytes = 0 :: non_neg_integer(),
    dropped = 0 :: non_neg_integer()
}).

-opaque queue() :: #queue{}.

new() ->
    #queue{}.

seq(#queue{seq = Seq}) -> Seq.
acked(#queue{acked = Acked}) -> Acked.
sent(#queue{sent = Sent}) -> Sent.
count(#queue{count = Count}) -> Count.
bytes(#queue{bytes = Bytes}) -> Bytes.
dropped(#queue{dropped = Dropped}) -> Dropped.
in_flight(#queue{in_flight_count = Count, in_flight_bytes = Bytes}) -> {Count, Bytes}.

%% Restores a queue from its numbers/1 and its items/1.
restored({Seq, Acked, Dropped}, Items) ->
    Restored = lists:foldl(
        fun({_, _, Bytes, _} = Item, #queue{count = Count, bytes = Sum} = Queue) ->
            put_unsent(Item, Queue#queue{count = Count + 1, bytes = Sum + Bytes})
        end,
        #queue{seq = Seq, acked = Acked, sent = Acked, dropped = Dropped},
        Items
    ),
    acknowledge(Acked, Restored).

numbers(#queue{seq = Seq, acked = Acked, dropped = Dropped}) ->
    {Seq, Acked, Dropped}.

%% In order of their numbers.
items(#queue{in_flight = InFlight, messages = Messages, minors = Minors}) ->
    queue:to_list(InFlight) ++ lists:keymerge(1, queue:to_list(Messages), queue:to_list(Minors)).

add(Rank, Bytes, Packed, #queue{seq = Last, count = Count, bytes = Sum} = Queue) ->
    Seq = Last + 1,
    put_unsent({Seq, Rank, Bytes, Packed}, Queue#queue{seq = Seq, count = Count + 1, bytes = Sum + Bytes}).

put_unsent({_, message, _, _} = Item, #queue{messages = Messages} = Queue) ->
    Queue#queue{messages = queue:in(Item, Messages)};
put_unsent({_, minor, _, _} = Item, #queue{minors = Minors} = Queue) ->
    Queue#queue{minors = queue:in(Item, Minors)}.

%% Items that were lost before they were numbered: they leave their hole here.
skip(Lost, #queue{seq = Seq, dropped = Dropped} = Queue) ->
    Queue#queue{seq = Seq + Lost, dropped = Dropped + Lost}.

%% The number and rank of the next item to send.
next(#queue{messages = Messages, minors = Minors}) ->
    case {queue:peek(Messages), queue:peek(Minors)} of
        {empty, empty} -> none;
        {{value, {Seq, _, _, _}}, empty} -> {Seq, message};
        {empty, {value, {Seq, _, _, _}}} -> {Seq, minor};
        {{value, {Seq, _, _, _}}, {value, {Other, _, _, _}}} when Seq < Other -> {Seq, message};
        {_, {value, {Seq, _, _, _}}} -> {Seq, minor}
    end.

%% Returns the first item of this rank, which is now in flight.
send_next(Rank, Queue) ->
    {{Seq, _, Bytes, _} = Item, Rest} = take_unsent(Rank, Queue),
    #queue{in_flight = InFlight, in_flight_count = Count, in_flight_bytes = Sum} = Rest,
    {Item, Rest#queue{
        in_flight = queue:in(Item, InFlight),
        in_flight_count = Count + 1,
        in_flight_bytes = Sum + Bytes,
        sent = Seq
    }}.

take_unsent(message, #queue{messages = Messages} = Queue) ->
    {{value, Item}, Rest} = queue:out(Messages),
    {Item, Queue#queue{messages = Rest}};
take_unsent(minor, #queue{minors = Minors} = Queue) ->
    {{value, Item}, Rest} = queue:out(Minors),
    {Item, Queue#queue{minors = Rest}}.

%% Marks all unacknowledged items as unsent.
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

%% Items that a previous connection received may be acknowledged by the next one before they are repeated.
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

%% Drops unsent items until the limits are met: minor ones first, oldest first. Items in flight are kept.
shrink(MaxBytes, MaxItems, #queue{bytes = Sum, count = Count} = Queue) when Sum =< MaxBytes, Count =< MaxItems ->
    Queue;
shrink(MaxBytes, MaxItems, #queue{minors = Minors, messages = Messages} = Queue) ->
    case {queue:is_empty(Minors), queue:is_empty(Messages)} of
        {false, _} -> shrink(MaxBytes, MaxItems, drop(minor, Queue));
        {true, false} -> shrink(MaxBytes, MaxItems, drop(message, Queue));
        {true, true} -> Queue
    end.

drop(Rank, Queue) ->
    {{_, _, Bytes, _}, #queue{count = Count, bytes = Sum, dropped = Dropped} = Rest} = take_unsent(Rank, Queue),
    Rest#queue{count = Count - 1, bytes = Sum - Bytes, dropped = Dropped + 1}.
