%% event_pusher_tap_writer: writes items to the connection of the active component. It waits for a component that does not read,
%% which the keeper must never do.
%%
%% The XML goes to the socket directly: the process of the connection could send it only after parsing and serializing it again.
%% That process writes its own stanzas at the same time; each write to a TCP socket is atomic. Over TLS it is not, so there the stanzas
%% take the way through that process.

-module(event_pusher_tap_writer).

-export([start/2, write/2, stop/1]).

-export_type([writer/0]).

-include("xmpp.hrl").

-type writer() :: {direct, pid()} | {through, Connection :: pid()}.

%% Ends with its owner.
-spec start(pid(), xmpp_socket:socket_state()) -> writer().
start(Connection, Socket) ->
    case xmpp_socket:get_sockmod(Socket) of
        gen_tcp -> {direct, spawn_opt(fun() -> begin_writing(Connection, Socket) end, [link, {fullsweep_after, 0}])};
        _ -> {through, Connection}
    end.

%% Writes these stanzas with one system call, if the socket has space for them.
-spec write([iodata()], writer()) -> ok.
write(Stanzas, {direct, Pid}) ->
    Pid ! {write, iolist_to_binary(Stanzas)},
    ok;
write(Stanzas, {through, Connection}) ->
    lists:foreach(fun(Stanza) -> Connection ! {route, parsed(Stanza)} end, Stanzas).

parsed(Stanza) ->
    Xml = iolist_to_binary(Stanza),
    case fxml_stream:parse_element(Xml) of
        #xmlel{} = El -> xmpp:decode(El, ?NS_COMPONENT, [ignore_els]);
        {error, _} -> parsed(without_stanza(Xml))
    end.

%% A stanza that is not valid by itself, such as one with a prefix of the client's stream. Its item keeps its number.
without_stanza(Xml) ->
    [Head, _] = binary:split(Xml, <<"/><forwarded ">>),
    [Head, <<" reason='malformed'/></message>">>].

%% Discards items that are not written yet.
-spec stop(writer()) -> ok.
stop({direct, Pid}) ->
    unlink(Pid),
    exit(Pid, kill),
    ok;
stop({through, _Connection}) ->
    ok.

begin_writing(Connection, Socket) ->
    process_flag(sensitive, true), % messages of users must not appear in a crash report
    writing(Connection, Socket).

writing(Connection, Socket) ->
    receive
        {write, Xml} ->
            case catch xmpp_socket:send(Socket, Xml) of
                ok -> writing(Connection, Socket);
                _ -> ejabberd_service:close(Connection) % the pusher connects again, and gets what it has not acknowledged
            end
    end.
