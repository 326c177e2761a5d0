%% event_pusher_tap_door: the way from the hooks, which run in the processes of sessions, to the keeper of a virtual
%% host's queue. Every process can read it; what goes through is packed, counted and never waited for.

-module(event_pusher_tap_door).

-export([open/2, close/1, find/1, set_want/2, wants/2, guarded/3, hand_in/3, report/3]).

-include("logger.hrl").
-include("xmpp.hrl").
-include("event_pusher_tap.hrl").

%% What an item costs besides its packed stanza, in bytes: its place in the queue, and the binary's own header.
-define(ITEM_BYTES, 160).

%% Elements may stand this deep in each other. The pusher ends a stream that holds a stanza deeper than 128, and one user
%% would stop the feed for all.
-define(MAX_DEPTH, 100).

-define(KINDS, [{message, 1}, {presence, 2}, {iq, 4}, {status, 8}, {unack, 16}]).

open(Host, #door{} = Door) ->
    persistent_term:put({mod_event_pusher_tap, Host}, Door).

close(Host) ->
    persistent_term:erase({mod_event_pusher_tap, Host}).

find(Host) ->
    persistent_term:get({mod_event_pusher_tap, Host}, closed).

%% Words as in `want`; those that nobody knows mean nothing.
set_want(Words, Shared) ->
    atomics:put(Shared, ?WANT, lists:sum([Bit || {Kind, Bit} <- ?KINDS, lists:member(atom_to_binary(Kind, utf8), Words)])).

wants(Kind, #door{shared = Shared}) ->
    {Kind, Bit} = lists:keyfind(Kind, 1, ?KINDS),
    atomics:get(Shared, ?WANT) band Bit /= 0.

%% Nothing that happens in here may cost a client its stanza. One line of log per direction is enough to find it.
guarded(Host, Failed, Tap) ->
    case find(Host) of
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
hand_in(Packet, Attrs, #door{keeper = Keeper, shared = Shared} = Door) ->
    {Bytes, Packed} = pack(Packet, Attrs),
    case has_room(Bytes, Door) of
        true -> gen_server:cast(Keeper, {item, rank(Packet), Bytes, Packed});
        false -> atomics:add(Shared, ?REFUSED, 1)
    end.

%% A client came or went. The keeper has to hear of it whether the item that it may become finds room or not.
report(Change, {Packet, Attrs}, #door{keeper = Keeper} = Door) ->
    {Bytes, Packed} = pack(Packet, Attrs),
    case has_room(Bytes, Door) of
        true -> gen_server:cast(Keeper, {status, Change, Bytes, Packed});
        false -> gen_server:cast(Keeper, {status, Change, 0, refused})
    end;
report(Change, nothing, #door{keeper = Keeper}) ->
    gen_server:cast(Keeper, {status, Change, 0, nothing}).

has_room(Bytes, #door{max_bytes = MaxBytes, shared = Shared}) ->
    case atomics:add_get(Shared, ?UNTAKEN_BYTES, Bytes) of
        Untaken when Untaken =< MaxBytes; Untaken == Bytes ->
            true;
        _ ->
            atomics:sub(Shared, ?UNTAKEN_BYTES, Bytes),
            false
    end.

pack(Packet, Attrs) ->
    Packed = term_to_binary({Attrs, os:system_time(millisecond), client_xml(Packet)}),
    {byte_size(Packed) + ?ITEM_BYTES, Packed}.

client_xml(Packet) ->
    #xmlel{attrs = Attrs} = El = xmpp:encode(Packet),
    is_deeper(El, ?MAX_DEPTH) andalso error(nested_too_deep),
    declared(El#xmlel{attrs = lists:keystore(<<"xmlns">>, 1, Attrs, {<<"xmlns">>, ?NS_CLIENT})}, [<<"xml">>, <<"xmlns">>]).

%% ejabberd loses the prefixes that are declared on the stanza itself, and keeps the attributes further in that use them:
%% no XML any more, at which the pusher would end the stream, and again at each replay. Those attributes are left out.
declared(#xmlel{attrs = Attrs, children = Children} = El, Outer) ->
    Prefixes = [Prefix || {<<"xmlns:", Prefix/binary>>, _} <- Attrs] ++ Outer,
    El#xmlel{
        attrs = [Attr || {Name, _} = Attr <- Attrs, is_declared(binary:split(Name, <<":">>), Prefixes)],
        children = [declared(Child, Prefixes) || Child <- Children]
    };
declared(Text, _Prefixes) ->
    Text.

is_declared([_], _Prefixes) -> true;
is_declared([Prefix, _], Prefixes) -> lists:member(Prefix, Prefixes).

is_deeper(#xmlel{}, 0) -> true;
is_deeper(#xmlel{children = Children}, Left) -> lists:any(fun(Child) -> is_deeper(Child, Left - 1) end, Children);
is_deeper(_Text, _Left) -> false.

rank(#message{}) -> message;
rank(_) -> minor.
