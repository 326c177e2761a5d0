%% event_pusher_tap_writer: writes items to the connection of the active component. It waits for a component that does not read,
%% which the keeper must never do.
%%
%% The XML goes to the socket directly: the process of the connection could send it only after parsing and serializing it again.
%% That process writes its own stanzas at the same time; each write to a TCP socket is atomic. Over TLS it is not, so there the stanzas
%% take the way through that process.

-module(event_pusher_tap_writer).

-export([start/2, write/2, unwritten/1, is_process/2, stop/1]).

-export_type([writer/0]).

-include("xmpp.hrl").

-type writer() :: {direct, pid(), UnwrittenBytes :: atomics:atomics_ref()} | {through, Connection :: pid()}.

%% The process is linked to its owner, and ends when it cannot write to the socket.
-spec start(pid(), xmpp_socket:socket_state()) -> writer().
start(Connection, Socket) ->
    case xmpp_socket:get_sockmod(Socket) of
        gen_tcp ->
            Unwritten = atomics:new(1, [{signed, false}]),
            {direct, spawn_opt(fun() -> begin_writing(Socket, Unwritten) end, [link, {fullsweep_after, 0}]), Unwritten};
        _ -> {through, Connection}
    end.

%% Writes these stanzas with one system call, if the socket has space for them.
-spec write([iodata()], writer()) -> ok.
write(Stanzas, {direct, Pid, Unwritten}) ->
    Xml = iolist_to_binary(Stanzas),
    atomics:add(Unwritten, 1, byte_size(Xml)),
    Pid ! {write, Xml},
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

%% Bytes that wait for a component that does not read. The process of a connection waits itself, and reads no requests meanwhile.
-spec unwritten(writer()) -> non_neg_integer().
unwritten({direct, _Pid, Unwritten}) -> atomics:get(Unwritten, 1);
unwritten({through, _Connection}) -> 0.

-spec is_process(pid(), writer()) -> boolean().
is_process(Pid, {direct, Pid, _Unwritten}) -> true;
is_process(_Pid, _Writer) -> false.

%% Discards items that are not written yet.
-spec stop(writer()) -> ok.
stop({direct, Pid, _Unwritten}) ->
    unlink(Pid),
    exit(Pid, kill),
    ok;
stop({through, _Connection}) ->
    ok.

begin_writing(Socket, Unwritten) ->
    process_flag(sensitive, true), % messages of users must not appear in a crash report
    writing(Socket, Unwritten).

writing(Socket, Unwritten) ->
    receive
        {write, Xml} ->
            case catch xmpp_socket:send(Socket, Xml) of
                ok ->
                    atomics:sub(Unwritten, 1, byte_size(Xml)),
                    writing(Socket, Unwritten);
                _ ->
                    ok
            end
    end.
