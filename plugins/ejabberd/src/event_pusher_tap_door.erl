%% event_pusher_tap_door: passes items from the hooks, which run in the processes of sessions, to the keeper of the queue of
%% a virtual host. Every process can use it; items are packed and counted, and the sender never waits.

-module(event_pusher_tap_door).

-export([open/2, close/1, find/1, set_want/2, wants/2, guarded/3, hand_in/3, report/3, unpack/2]).

-export_type([feed/0]).

-include("logger.hrl").
-include("xmpp.hrl").
-include("event_pusher_tap.hrl").

%% Overhead of an item in addition to its packed stanza, in bytes: its entry in the queue, and the header of the binary.
-define(ITEM_BYTES, 160).

%% Maximum depth of elements; the pusher accepts 128.
-define(MAX_DEPTH, 100).

%% Replaces a stanza that the pusher cannot accept. An older version of this module reads it as an empty stanza.
-define(NO_STANZA, {xmlcdata, <<>>}).

%% An escaped byte takes at most six; and the size of an item without its stanza.
-define(MOST_XML(PackedBytes), (6 * (PackedBytes) + 2000)).

%% A number and an epoch of maximum length.
-define(ANY_SEQ, 9007199254740991).
-define(ANY_EPOCH, <<"00000000-0000-0000-0000-000000000000">>).

%% Virtual host, component, epoch, and the maximum size of an item in bytes of XML.
-type feed() :: {Host :: binary(), Component :: binary(), Epoch :: binary(), MaxItem :: pos_integer()}.

-define(KINDS, [{message, 1}, {presence, 2}, {iq, 4}, {status, 8}, {unack, 16}]).

open(Host, #door{} = Door) ->
    persistent_term:put({mod_event_pusher_tap, Host}, Door).

close(Host) ->
    persistent_term:erase({mod_event_pusher_tap, Host}).

find(Host) ->
    persistent_term:get({mod_event_pusher_tap, Host}, closed).

%% Words as in `want`; unknown words are ignored.
set_want(Words, Shared) ->
    atomics:put(Shared, ?WANT, lists:sum([Bit || {Kind, Bit} <- ?KINDS, lists:member(atom_to_binary(Kind, utf8), Words)])).

wants(Kind, #door{shared = Shared}) ->
    {Kind, Bit} = lists:keyfind(Kind, 1, ?KINDS),
    atomics:get(Shared, ?WANT) band Bit /= 0.

%% An error here must not drop a client's stanza. Logged once per direction.
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

%% Reasons and stack traces contain stanzas, which must not be logged.
kind_of(Reason) when is_atom(Reason) -> Reason;
kind_of(Reason) when is_tuple(Reason), is_atom(element(1, Reason)) -> element(1, Reason);
kind_of(_Reason) -> unknown.

places(Trace) ->
    [{Module, Function, proplists:get_value(line, Where)} || {Module, Function, _, Where} <- lists:sublist(Trace, 5)].

%% A packed item is one binary outside of the heaps: cheap to send, to keep and to count.
hand_in(Packet, Attrs, #door{keeper = Keeper, shared = Shared} = Door) ->
    {Bytes, Packed} = pack(Packet, Attrs, Door),
    case has_room(Bytes, Door) of
        true -> gen_server:cast(Keeper, {item, rank(Packet), Bytes, Packed});
        false -> atomics:add(Shared, ?REFUSED, 1)
    end.

%% A client came online or went offline. The keeper must be notified even if the queue has no space for the item.
report(Change, {Packet, Attrs}, #door{keeper = Keeper} = Door) ->
    {Bytes, Packed} = pack(Packet, Attrs, Door),
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

pack(Packet, Attrs, #door{host = Host, component = Component, shared = Shared}) ->
    At = os:system_time(millisecond),
    Feed = {Host, Component, ?ANY_EPOCH, atomics:get(Shared, ?MAX_ITEM)},
    Packed =
        case client_xml(Packet) of
            #xmlel{} = El -> pack_fitting({Attrs, At, El}, Feed);
            Flaw -> term_to_binary({without(Flaw, none, Attrs), At, ?NO_STANZA})
        end,
    {byte_size(Packed) + ?ITEM_BYTES, Packed}.

%% A stanza that is too large for the component is not kept. The size is computed only if it may exceed the limit.
pack_fitting({Attrs, At, _} = Item, {_, _, _, MaxItem} = Feed) ->
    Packed = term_to_binary(Item),
    case byte_size(Packed) of
        Bytes when ?MOST_XML(Bytes) =< MaxItem ->
            Packed;
        _ ->
            case xml_bytes(Item, Feed) of
                Bytes when Bytes =< MaxItem -> Packed;
                Bytes -> term_to_binary({without(too_large, Bytes, Attrs), At, ?NO_STANZA})
            end
    end.

%% The message for the component; it may have been packed for a larger limit.
-spec unpack(event_pusher_tap_queue:item(), feed()) -> message().
unpack({Seq, _, _, Packed}, {_, _, _, MaxItem} = Feed) ->
    {Attrs, At, _} = Item = binary_to_term(Packed),
    case byte_size(Packed) of
        Bytes when ?MOST_XML(Bytes) =< MaxItem ->
            to_message(Seq, Item, Feed);
        _ ->
            case xml_bytes(Item, Feed) of
                Bytes when Bytes =< MaxItem -> to_message(Seq, Item, Feed);
                Bytes -> to_message(Seq, {without(too_large, Bytes, Attrs), At, ?NO_STANZA}, Feed)
            end
    end.

without(Reason, Bytes, [{<<"dir">>, Dir} | _]) ->
    [{<<"dir">>, Dir}, {<<"reason">>, reason(Reason)}] ++ [{<<"bytes">>, integer_to_binary(Bytes)} || is_integer(Bytes)].

reason(malformed) -> <<"malformed">>;
reason(too_deep) -> <<"too-deep">>;
reason(too_large) -> <<"too-large">>.

xml_bytes(Item, Feed) ->
    byte_size(fxml:element_to_binary(xmpp:encode(to_message(?ANY_SEQ, Item, Feed), ?NS_COMPONENT))).

to_message(Seq, {Attrs, At, El}, {Host, Component, Epoch, _}) ->
    Number = integer_to_binary(Seq),
    Tap = #xmlel{
        name = <<"tap">>,
        attrs = [{<<"xmlns">>, ?NS_TAP}, {<<"seq">>, Number}, {<<"epoch">>, Epoch}] ++ Attrs ++ [{<<"stamp">>, stamp(At)}]
    },
    #message{id = Number, from = jid:make(Host), to = jid:make(Component), sub_els = [Tap | forwarded(El)]}.

forwarded(?NO_STANZA) -> [];
forwarded(El) -> [#xmlel{name = <<"forwarded">>, attrs = [{<<"xmlns">>, ?NS_FORWARD}], children = [El]}].

stamp(Milliseconds) ->
    list_to_binary(calendar:system_time_to_rfc3339(Milliseconds, [{unit, millisecond}, {offset, "Z"}])).

client_xml(Packet) ->
    #xmlel{attrs = Attrs} = El = xmpp:encode(Packet),
    case flaw(El, ?MAX_DEPTH) of
        none ->
            WithNamespace = lists:keystore(<<"xmlns">>, 1, Attrs, {<<"xmlns">>, ?NS_CLIENT}),
            declared(El#xmlel{attrs = WithNamespace}, #{<<"xml">> => 1, <<"xmlns">> => 1});
        Flaw ->
            Flaw
    end.

%% ejabberd drops the prefixes that are declared on the stanza, and keeps attributes of inner elements that use them. This is
%% not valid XML, so those attributes are removed.
declared(#xmlel{attrs = Attrs, children = Children} = El, Outer) ->
    Prefixes = lists:foldl(
        fun
            ({<<"xmlns:", Prefix/binary>>, _}, Known) -> Known#{Prefix => 1};
            (_, Known) -> Known
        end,
        Outer,
        Attrs
    ),
    El#xmlel{
        attrs = [Attr || {Name, _} = Attr <- Attrs, is_declared(binary:split(Name, <<":">>), Prefixes)],
        children = [declared(Child, Prefixes) || Child <- Children]
    };
declared(Text, _Prefixes) ->
    Text.

is_declared([_], _Prefixes) -> true;
is_declared([Prefix, _], Prefixes) -> is_map_key(Prefix, Prefixes).

%% The reason why the pusher could not read it. Stanzas from streams are valid; those from the API and other modules may not be.
flaw(#xmlel{}, 0) ->
    too_deep;
flaw(#xmlel{attrs = Attrs, children = Children}, Left) ->
    case lists:all(fun({_, Value}) -> is_text(Value) end, Attrs) of
        true -> first_flaw(Children, Left - 1);
        false -> malformed
    end;
flaw({xmlcdata, Text}, _Left) ->
    case is_text(Text) of
        true -> none;
        false -> malformed
    end.

first_flaw([], _Left) ->
    none;
first_flaw([Child | Others], Left) ->
    case flaw(Child, Left) of
        none -> first_flaw(Others, Left);
        Flaw -> Flaw
    end.

%% UTF-8 of characters that XML allows (XML 1.0, section 2.2).
is_text(<<>>) -> true;
is_text(<<C/utf8, Rest/binary>>) when C >= 32, C < 16#FFFE; C >= 16#10000; C == $\n; C == $\t; C == $\r -> is_text(Rest);
is_text(_) -> false.

rank(#message{}) -> message;
rank(_) -> minor.
