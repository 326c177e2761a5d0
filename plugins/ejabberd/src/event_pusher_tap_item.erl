%% event_pusher_tap_item: an item as XML. It is written once, in the process of the session, and is one binary outside of the heaps
%% from there to the connection of the component. The keeper adds its number and its epoch when it is sent:
%%
%%   <message from='HOST' to='COMPONENT' id='7'><tap xmlns='urn:x-event-pusher:tap:1' seq='7' epoch='…'
%%                                                   ^ the packed item begins after the epoch:
%%    dir='in' stamp='…' session='…'/><forwarded xmlns='urn:xmpp:forward:0'><message …>…</message></forwarded></message>

-module(event_pusher_tap_item).

-export([pack/3, envelope/3, to_xml/4, wrapper_bytes/2, converted/1]).

-export_type([packed/0, envelope/0, limit/0]).

-include("xmpp.hrl").
-include("event_pusher_tap.hrl").

-type packed() :: binary().
%% The text before the number and the text after it.
-type envelope() :: {binary(), binary()}.
%% The maximum size of an item in bytes, and wrapper_bytes/2.
-type limit() :: {MaxItem :: pos_integer(), Wrapper :: pos_integer()}.

%% Maximum depth of elements; the pusher accepts 128.
-define(MAX_DEPTH, 100).

%% A number and an epoch of maximum length.
-define(ANY_SEQ, 9007199254740991).
-define(ANY_EPOCH, <<"00000000-0000-0000-0000-000000000000">>).

%% Two digits.
-define(TWO(N), ($0 + (N) div 10), ($0 + (N) rem 10)).

%% `Attrs` begins with `dir`. A stanza that is too large for the component is not kept.
-spec pack(stanza(), [{binary(), binary()}], limit()) -> packed().
pack(Packet, [Dir | Attrs], Limit) ->
    Head = [Dir, {<<"stamp">>, stamp(os:system_time(millisecond))}],
    case client_xml(Packet) of
        too_deep ->
            packed(Head ++ [{<<"reason">>, <<"too-deep">>}], []);
        El ->
            Packed = within(Limit, packed(Head ++ Attrs, [forwarded(El)])),
            case is_text(Packed) of
                true -> Packed;
                false -> packed(Head ++ [{<<"reason">>, <<"malformed">>}], [])
            end
    end.

packed(Attrs, Children) ->
    Tap = #xmlel{name = <<"tap">>, attrs = Attrs},
    <<"<message><tap", Packed/binary>> = fxml:element_to_binary(#xmlel{name = <<"message">>, children = [Tap | Children]}),
    Packed.

forwarded(El) ->
    #xmlel{name = <<"forwarded">>, attrs = [{<<"xmlns">>, ?NS_FORWARD}], children = [El]}.

%% Without its stanza an item keeps the first two attributes, `dir` and `stamp`.
within({MaxItem, Wrapper}, Packed) when byte_size(Packed) + Wrapper =< MaxItem ->
    Packed;
within({_, Wrapper}, Packed) ->
    [_, _, _, {Quote, 1} | _] = binary:matches(Packed, <<"'">>, [{scope, {0, 100}}]),
    Head = binary:part(Packed, 0, Quote + 1),
    Bytes = integer_to_binary(byte_size(Packed) + Wrapper),
    <<Head/binary, " reason='too-large' bytes='", Bytes/binary, "'/></message>">>.

%% An item that an earlier version of this module has stored on the disk.
-spec converted(binary()) -> packed().
converted(Stored) ->
    {[Dir | Attrs], At, El} = binary_to_term(Stored),
    Children =
        case El of
            #xmlel{} -> [forwarded(El)];
            _NoStanza -> []
        end,
    packed([Dir, {<<"stamp">>, stamp(At)} | Attrs], Children).

%%% The message for the component

-spec envelope(binary(), binary(), binary()) -> envelope().
envelope(Host, Component, Epoch) ->
    {
        <<"<message from='", (fxml:crypt(Host))/binary, "' to='", (fxml:crypt(Component))/binary, "' id='">>,
        <<"' epoch='", (fxml:crypt(Epoch))/binary, "'">>
    }.

%% The item may have been packed for a larger limit.
-spec to_xml(pos_integer(), packed(), envelope(), limit()) -> iodata().
to_xml(Seq, Packed, Envelope, Limit) ->
    wrapped(Seq, within(Limit, Packed), Envelope).

wrapped(Seq, Packed, {Before, After}) ->
    Number = integer_to_binary(Seq),
    [Before, Number, <<"'><tap xmlns='urn:x-event-pusher:tap:1' seq='">>, Number, After, Packed].

%% The maximum size of an item without its packed part.
wrapper_bytes(Host, Component) ->
    iolist_size(wrapped(?ANY_SEQ, <<>>, envelope(Host, Component, ?ANY_EPOCH))).

%% The same as calendar:system_time_to_rfc3339/2, at a fraction of its cost.
stamp(Milliseconds) ->
    {{Year, Month, Day}, {Hour, Minute, Second}} = calendar:system_time_to_universal_time(Milliseconds, millisecond),
    Rest = Milliseconds rem 1000,
    <<
        ?TWO(Year div 100), ?TWO(Year rem 100), $-, ?TWO(Month), $-, ?TWO(Day), $T,
        ?TWO(Hour), $:, ?TWO(Minute), $:, ?TWO(Second), $., ?TWO(Rest div 10), ($0 + Rest rem 10), $Z
    >>.

%%% The stanza

client_xml(Packet) ->
    #xmlel{attrs = Attrs} = El = xmpp:encode(Packet),
    WithNamespace = El#xmlel{attrs = lists:keystore(<<"xmlns">>, 1, Attrs, {<<"xmlns">>, ?NS_CLIENT})},
    case shape([El], ?MAX_DEPTH, plain) of
        plain -> WithNamespace;
        prefixed -> declared(WithNamespace, #{<<"xml">> => 1, <<"xmlns">> => 1});
        too_deep -> too_deep
    end.

%% Whether any attribute has a prefix, so that only few stanzas have to be rebuilt.
shape([#xmlel{} | _], 0, _Found) ->
    too_deep;
shape([#xmlel{attrs = Attrs, children = Children} | Others], Left, Found) ->
    case shape(Children, Left - 1, prefixes(Attrs, Found)) of
        too_deep -> too_deep;
        FoundInside -> shape(Others, Left, FoundInside)
    end;
shape([_Text | Others], Left, Found) ->
    shape(Others, Left, Found);
shape([], _Left, Found) ->
    Found.

prefixes([{Name, _} | Others], plain) ->
    case Name of
        <<"xml:", _/binary>> -> prefixes(Others, plain);
        <<"xmlns:", _/binary>> -> prefixes(Others, plain);
        _ -> prefixes(Others, has_colon(Name))
    end;
prefixes(_Attrs, Found) ->
    Found.

has_colon(<<$:, _/binary>>) -> prefixed;
has_colon(<<_, Rest/binary>>) -> has_colon(Rest);
has_colon(<<>>) -> plain.

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

%% UTF-8 of characters that XML allows (XML 1.0, section 2.2). Stanzas from streams are valid; those from the API and other modules
%% may not be. Four ASCII characters at a time, which is four times as fast: the highest bit of a byte is set in the character if it
%% is not ASCII, and in the difference if it is a control character.
is_text(<<Four:32, Rest/binary>>) when (Four bor (Four - 16#20202020)) band 16#80808080 == 0 -> is_text(Rest);
is_text(<<C, Rest/binary>>) when C >= 32, C < 128 -> is_text(Rest);
is_text(<<C/utf8, Rest/binary>>) when C >= 128, C < 16#FFFE; C >= 16#10000; C == $\n; C == $\t; C == $\r -> is_text(Rest);
is_text(Rest) -> Rest == <<>>.
