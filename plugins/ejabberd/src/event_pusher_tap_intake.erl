%% event_pusher_tap_intake: passes items from the hooks, which run in the processes of sessions, to the keeper of the queue of
%% a virtual host. Every process can use it; items are packed and counted, and the sender never waits.

-module(event_pusher_tap_intake).

-export([open/2, close/1, find/1, set_wanted/2, wants/2, guarded/3, hand_in/3, report/3, bytes/1]).

-export_type([wanted/0]).

-include("logger.hrl").
-include("xmpp.hrl").
-include("event_pusher_tap.hrl").

%% Overhead of an item in addition to its XML, in bytes: its entry in the queue, and the header of the binary.
-define(ITEM_BYTES, 200).

%% The words of a resume.
-type wanted() :: {Want :: [binary()], Dirs :: [binary()]}.

open(Host, #intake{} = Intake) ->
    persistent_term:put({mod_event_pusher_tap, Host}, Intake).

close(Host) ->
    persistent_term:erase({mod_event_pusher_tap, Host}).

find(Host) ->
    persistent_term:get({mod_event_pusher_tap, Host}, closed).

%% Unknown words are ignored. Reports are wanted or not, independent of their direction.
-spec set_wanted(wanted(), atomics:atomics_ref()) -> ok.
set_wanted({Want, Dirs}, Shared) ->
    Stanzas = [{Dir, Kind} || Dir <- [in, out], is_word(Dir, Dirs), Kind <- [message, presence, iq], is_word(Kind, Want)],
    Reports = [Kind || Kind <- [status, unack, members, rooms, accounts], is_word(Kind, Want)],
    atomics:put(Shared, ?WANT, lists:sum(lists:map(fun bit/1, Stanzas ++ Reports))).

is_word(Atom, Words) ->
    lists:member(atom_to_binary(Atom, utf8), Words).

%% Checked before anything is computed: an unwanted item costs only this check.
wants(What, #intake{shared = Shared}) ->
    atomics:get(Shared, ?WANT) band bit(What) /= 0.

bit({in, message}) -> 1;
bit({in, presence}) -> 2;
bit({in, iq}) -> 4;
bit({out, message}) -> 8;
bit({out, presence}) -> 16;
bit({out, iq}) -> 32;
bit(status) -> 64;
bit(unack) -> 128;
bit(members) -> 256;
bit(rooms) -> 512;
bit(accounts) -> 1024.

%% An error here must not drop a client's stanza. Logged once per direction.
guarded(Host, Failed, Tap) ->
    case find(Host) of
        closed ->
            ok;
        #intake{shared = Shared} = Intake ->
            try
                Tap(Intake)
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

%% Reasons and stack traces contain stanzas, which must not be logged.
kind_of(Reason) when is_atom(Reason) -> Reason;
kind_of(Reason) when is_tuple(Reason), is_atom(element(1, Reason)) -> element(1, Reason);
kind_of(_Reason) -> unknown.

places(Trace) ->
    [{Module, Function, proplists:get_value(line, Where)} || {Module, Function, _, Where} <- lists:sublist(Trace, 5)].

%% A packed item is one binary outside of the heaps: cheap to send, to keep and to count.
hand_in(Packet, Attrs, #intake{keeper = Keeper, shared = Shared} = Intake) ->
    {Bytes, Packed} = pack(Packet, Attrs, Intake),
    case has_room(Bytes, Intake) of
        true -> gen_server:cast(Keeper, {item, rank(Packet, Attrs), Bytes, Packed});
        false -> atomics:add(Shared, ?REFUSED, 1)
    end.

%% A client came online or went offline. The keeper must be notified even if the queue has no space for the item.
report(Change, {Packet, Attrs}, #intake{keeper = Keeper} = Intake) ->
    {Bytes, Packed} = pack(Packet, Attrs, Intake),
    case has_room(Bytes, Intake) of
        true -> gen_server:cast(Keeper, {status, Change, Bytes, Packed});
        false -> gen_server:cast(Keeper, {status, Change, 0, refused})
    end;
report(Change, nothing, #intake{keeper = Keeper}) ->
    gen_server:cast(Keeper, {status, Change, 0, nothing}).

%% Memory of an item in the queue.
bytes(Packed) ->
    byte_size(Packed) + ?ITEM_BYTES.

has_room(Bytes, #intake{max_bytes = MaxBytes, shared = Shared}) ->
    case atomics:add_get(Shared, ?UNTAKEN_BYTES, Bytes) of
        Untaken when Untaken =< MaxBytes; Untaken == Bytes ->
            true;
        _ ->
            atomics:sub(Shared, ?UNTAKEN_BYTES, Bytes),
            false
    end.

pack(Packet, Attrs, #intake{shared = Shared, wrapper_bytes = Wrapper}) ->
    Packed = event_pusher_tap_item:pack(Packet, Attrs, {atomics:get(Shared, ?MAX_ITEM), Wrapper}),
    {bytes(Packed), Packed}.

%% A message in a room may have a thousand copies for absent members, and any user can make others members: a full queue drops them
%% before messages.
rank(#message{}, [_, {<<"occupant">>, _} | _]) -> minor;
rank(#message{}, _Attrs) -> message;
rank(_, [{<<"dir">>, <<"event">>} | _]) -> message;
rank(_, _Attrs) -> minor.
