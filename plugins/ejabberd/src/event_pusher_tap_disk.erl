%% event_pusher_tap_disk: the queue of a virtual host as a file, for the option `disk`. Owned by the keeper, which writes
%% before it sends: a number that the component has received is on disk.
%%
%% The file is a log. It begins with {epoch, Epoch, Format}; then follow each {item, Item}, {want, Wanted} when the subscription
%% changes, and {numbers, {Seq, Acked, Dropped}} after each batch. Entries are never removed: when the file exceeds twice the
%% size of the queue, and a few megabytes, it is rewritten. Each entry is <<Size:32, Crc32:32, Term/binary>>; reading ends at
%% the first incomplete entry, where a crash interrupted the last write.
%%
%% Earlier versions began it with {epoch, Epoch}; their items are converted. They read a file of this version as an empty queue.

-module(event_pusher_tap_disk).

-export([path/1, open/1, put/2, write/2, is_stale/2, rewrite/2, close/1, remove/1]).
-export([leave_numbers/2, take_numbers/1]).

-export_type([disk/0]).

-include("event_pusher_tap.hrl").

%% A smaller file is not rewritten.
-define(SLACK_BYTES, 8 * 1024 * 1024).

-type numbers() :: {Seq :: non_neg_integer(), Acked :: non_neg_integer(), Dropped :: non_neg_integer()}.

-define(FORMAT, 2).

-type content() :: {Epoch :: binary(), event_pusher_tap_intake:wanted(), numbers(), [event_pusher_tap_queue:item()]}.

-record(disk, {
    path :: binary(),
    file :: file:io_device() | undefined,
    bytes = 0 :: non_neg_integer(),
    %% Entries that are not written yet, newest first.
    unwritten = [] :: [iodata()]
}).

-opaque disk() :: #disk{}.

%% In the folder of the database of this node, which no other node shares.
path(Host) ->
    filename:join([mnesia:system_info(directory), "event_pusher_tap", <<Host/binary, ".queue">>]).

%% Returns the content of an existing file, or `nothing`. The first rewrite/2 begins the new file.
-spec open(binary()) ->
    {ok, disk(), nothing | content()} | {error, term()}.
open(Path) ->
    case file:read_file(Path) of
        {ok, Content} -> {ok, #disk{path = Path}, read(entry(Content))};
        {error, enoent} -> {ok, #disk{path = Path}, nothing};
        {error, Reason} -> {error, Reason}
    end.

read({{epoch, Epoch, ?FORMAT}, Content}) ->
    read(entry(Content), {Epoch, {[], []}, {0, 0, 0}, []});
read({{epoch, Epoch}, Content}) ->
    {Epoch, Want, Numbers, Items} = read(entry(Content), {Epoch, [], {0, 0, 0}, []}),
    {Epoch, {Want, ?BOTH_DIRECTIONS}, Numbers, lists:map(fun converted/1, Items)};
read(_) ->
    nothing.

read({{item, {Seq, _, _, _} = Item}, Content}, {Epoch, Want, {_, Acked, Dropped}, Items}) ->
    read(entry(Content), {Epoch, Want, {Seq, Acked, Dropped}, [Item | Items]});
read({{want, Want}, Content}, {Epoch, _, Numbers, Items}) ->
    read(entry(Content), {Epoch, Want, Numbers, Items});
read({{numbers, Numbers}, Content}, {Epoch, Want, _, Items}) ->
    read(entry(Content), {Epoch, Want, Numbers, Items});
read(none, {Epoch, Want, Numbers, Items}) ->
    {Epoch, Want, Numbers, lists:reverse(Items)}.

converted({Seq, Rank, _, Stored}) ->
    Packed = event_pusher_tap_item:converted(Stored),
    {Seq, Rank, event_pusher_tap_intake:bytes(Packed), Packed}.

%% The binaries of a term are copies, so that the content of the whole file can be freed.
entry(<<Size:32, Crc:32, Entry:Size/binary, Rest/binary>>) ->
    case erlang:crc32(Entry) of
        Crc -> {binary_to_term(binary:copy(Entry)), Rest};
        _ -> none
    end;
entry(_Content) ->
    none.

%% Adds {item, Item} or {want, Wanted}; it is on disk after the next write/2.
put(Entry, #disk{unwritten = Unwritten} = Disk) ->
    Disk#disk{unwritten = [encode(Entry) | Unwritten]}.

encode(Entry) ->
    Term = term_to_binary(Entry),
    [<<(byte_size(Term)):32, (erlang:crc32(Term)):32>>, Term].

%% Writes the added entries and the current numbers, and waits until they are on the disk.
write(Numbers, #disk{unwritten = Unwritten} = Disk) ->
    written(lists:reverse(Unwritten, [encode({numbers, Numbers})]), Disk#disk{unwritten = []}).

written(Entries, #disk{file = File, bytes = Bytes} = Disk) ->
    case in_turn([fun() -> file:write(File, Entries) end, fun() -> file:datasync(File) end]) of
        ok -> {ok, Disk#disk{bytes = Bytes + iolist_size(Entries)}};
        {error, Reason} -> {error, Reason}
    end.

is_stale(Waiting, #disk{bytes = Bytes}) ->
    Bytes > 2 * Waiting + ?SLACK_BYTES.

%% Replaces the file atomically.
rewrite({Epoch, Wanted, Numbers, Items}, #disk{path = Path, file = Former}) ->
    Begun = <<Path/binary, ".new">>,
    case in_turn([fun() -> filelib:ensure_dir(Path) end, fun() -> file:open(Begun, [write, raw, binary]) end]) of
        {ok, File} ->
            Entries = [{epoch, Epoch, ?FORMAT}, {want, Wanted}] ++ [{item, Item} || Item <- Items] ++ [{numbers, Numbers}],
            case written(lists:map(fun encode/1, Entries), #disk{path = Path, file = File}) of
                {ok, Disk} -> renamed(file:rename(Begun, Path), Former, Disk);
                Failed -> Failed
            end;
        {error, Reason} ->
            {error, Reason}
    end.

renamed(ok, Former, Disk) ->
    Former == undefined orelse file:close(Former),
    {ok, Disk};
renamed({error, Reason}, _Former, _Disk) ->
    {error, Reason}.

in_turn([Last]) ->
    Last();
in_turn([Step | Steps]) ->
    case Step() of
        ok -> in_turn(Steps);
        Failed -> Failed
    end.

close(#disk{file = undefined}) -> ok;
close(#disk{file = File}) -> file:close(File).

%% From now on the queue is only in memory.
remove(#disk{path = Path} = Disk) ->
    close(Disk),
    file:delete(Path).

%%% Without the option: the epoch and the last number, for the next start of the server

-type left() :: {Epoch :: binary(), Seq :: non_neg_integer(), Dropped :: non_neg_integer()}.

numbers_path(Host) ->
    filename:join(filename:dirname(path(Host)), <<Host/binary, ".numbers">>).

%% Atomic.
-spec leave_numbers(binary(), left()) -> ok | {error, term()}.
leave_numbers(Host, Left) ->
    Path = numbers_path(Host),
    Begun = <<Path/binary, ".new">>,
    in_turn([
        fun() -> filelib:ensure_dir(Path) end,
        fun() -> file:write_file(Begun, encode(Left), [sync]) end,
        fun() -> file:rename(Begun, Path) end
    ]).

%% Removed before the first number is used; after a crash the numbers would be used twice.
-spec take_numbers(binary()) -> left() | none.
take_numbers(Host) ->
    Path = numbers_path(Host),
    case {file:read_file(Path), file:delete(Path)} of
        {{ok, Content}, ok} -> left(entry(Content));
        _ -> none
    end.

left({{Epoch, Seq, Dropped} = Left, <<>>}) when is_binary(Epoch), is_integer(Seq), is_integer(Dropped) -> Left;
left(_) -> none.
