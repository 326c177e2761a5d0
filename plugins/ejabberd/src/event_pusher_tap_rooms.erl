%% event_pusher_tap_rooms: events in the life of rooms and accounts, and copies of a room's message for members who are not in the
%% room; made only if the pusher requests them (`rooms`, `accounts`, `members`).
%%
%% ejabberd's hooks on joining and leaving have no nickname, and there is none on an affiliation. So the state of a room, which
%% other hooks receive, is kept in the dictionary of the room's process during each stanza (`seen`). A changed affiliation is
%% found by comparison: the process of this module asks the room for its state after a request of an owner or admin.
%%
%% The hooks run in the process of the room and take one pass over its occupants; the list of its members is made once per change.
%% The process of this module, one per virtual host, makes the copies, in the order of the messages.
%%
%% An event of a room is reported by one tap: that of the virtual host of which the rooms' domain is a subdomain, the longest if there
%% are several, or else the first.

-module(event_pusher_tap_rooms).

-behaviour(gen_server).

-export([add/1, delete/1]).
-export([
    create_room/3,
    remove_room/3,
    join_room/4,
    leave_room/4,
    muc_filter_presence/3,
    muc_filter_message/3,
    muc_process_iq/2,
    register_user/2,
    remove_user/2
]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, format_status/1]).

-include("xmpp.hrl").
-include("mod_muc_room.hrl").
-include("event_pusher_tap.hrl").

%% In the dictionary of a room's process.
-define(SEEN, event_pusher_tap_seen).
-define(MEMBERS, event_pusher_tap_members).

%% The state of a room at the beginning of the present stanza, or of the last one.
-record(seen, {
    room :: #state{},
    %% The sender of a presence, and its nickname.
    entering = none :: none | {jid(), binary()},
    %% Clients that have left since then.
    left = [] :: [jid:ljid()],
    %% Whether the room has been destroyed since then: its occupants do not leave it.
    destroyed = false :: boolean(),
    created = false :: boolean()
}).

%% Copies that may wait in the process of this module; further ones are left out.
-define(MOST_COPIES, 100000).

%% A destroyed room ends at once; one that only stops being persistent goes on.
-define(END_MS, 5000).

add(Host) ->
    [ejabberd_hooks:add(Hook, Host, ?MODULE, Hook, 50) || Hook <- [register_user, remove_user]],
    [ejabberd_hooks:add(Hook, Server, ?MODULE, Hook, Seq) || Server <- ejabberd_option:hosts(), {Hook, Seq} <- room_hooks()].

%% The rooms of a virtual host without a tap may have members of another.
delete(Host) ->
    [ejabberd_hooks:delete(Hook, Host, ?MODULE, Hook, 50) || Hook <- [register_user, remove_user]],
    [
        ejabberd_hooks:delete(Hook, Server, ?MODULE, Hook, Seq)
     || tapped() -- [Host] == [], Server <- ejabberd_option:hosts(), {Hook, Seq} <- room_hooks()
    ].

%% Before other modules change a presence or a request; after mod_mam 50 has added the archive id to a message.
room_hooks() ->
    [
        {create_room, 50},
        {remove_room, 50},
        {join_room, 50},
        {leave_room, 50},
        {muc_filter_presence, 10},
        {muc_process_iq, 10},
        {muc_filter_message, 95}
    ].

tapped() ->
    [Host || Host <- ejabberd_option:hosts(), event_pusher_tap_intake:find(Host) /= closed].

%%% Accounts

register_user(User, Host) ->
    report_account(<<"account-registered">>, #presence{from = jid:make(User, Host)}, Host).

remove_user(User, Host) ->
    report_account(<<"account-deleted">>, #presence{from = jid:make(User, Host), type = unavailable}, Host).

report_account(Event, Presence, Host) ->
    event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(Intake) ->
        event_pusher_tap_intake:wants(accounts, Intake) andalso report(Event, Presence, none, Intake)
    end).

report(Event, Presence, Cause, Intake) ->
    event_pusher_tap_intake:hand_in(Presence, [{<<"dir">>, <<"event">>}, {<<"event">>, Event} | sender(Cause)], Intake).

sender(none) -> [];
sender(Jid) -> [{<<"sender">>, jid:encode(jid:remove_resource(Jid))}].

%%% Rooms

%% By the API. A room that a client creates is found by its state.
create_room(_Server, Name, Rooms) ->
    wanted(Rooms, fun(Intake) -> created(jid:make(Name, Rooms), none, Intake) end).

created(Room, Creator, Intake) ->
    report(<<"room-created">>, #presence{from = Room, to = Room}, Creator, Intake).

%% Also run when a room stops being persistent, which only the end of its process distinguishes.
remove_room(_Server, Name, Rooms) ->
    wanted(Rooms, fun(Intake) ->
        Room = jid:make(Name, Rooms),
        case get(?SEEN) of
            #seen{room = #state{jid = Room}} = Seen -> put(?SEEN, Seen#seen{destroyed = true});
            _ -> ok
        end,
        case mod_muc:find_online_room(Room#jid.luser, Room#jid.lserver) of
            {ok, Pid} -> spawn(fun() -> await_end(Pid, Room) end);
            error -> destroyed(Room, Intake)
        end
    end).

await_end(Pid, #jid{lserver = Rooms} = Room) ->
    Monitor = erlang:monitor(process, Pid),
    receive
        {'DOWN', Monitor, process, _, _} -> wanted(Rooms, fun(Intake) -> destroyed(Room, Intake) end)
    after ?END_MS -> ok
    end.

destroyed(Room, Intake) ->
    Content = #muc_user{destroy = #muc_destroy{xmlns = ?NS_MUC_USER}},
    report(<<"room-destroyed">>, #presence{type = unavailable, from = Room, to = Room, sub_els = [Content]}, none, Intake).

muc_filter_presence(#presence{from = From} = Packet, Room, Nick) ->
    seen(Room, {From, Nick}),
    Packet;
muc_filter_presence(Packet, _Room, _Nick) ->
    Packet.

muc_process_iq(#iq{type = set, from = From, sub_els = [#muc_admin{items = Items}]} = IQ, Room) ->
    seen(Room, none),
    wanted(Room#state.host, fun(#intake{host = Host}) ->
        Before = [
            {Jid, mod_muc_room:get_affiliation(Jid, Room), Reason}
         || #muc_item{jid = #jid{} = Jid, affiliation = Affiliation, reason = Reason} <- Items, Affiliation /= undefined
        ],
        (Before == [] orelse not is_in_charge(From, Room)) orelse gen_server:cast(worker(Host), {compare, self(), From, Before})
    end),
    IQ;
muc_process_iq(IQ, Room) ->
    seen(Room, none),
    IQ.

%% Any user may send a request, which the room then refuses; its state, which is copied for a comparison, may have many megabytes.
is_in_charge(User, Room) ->
    lists:member(mod_muc_room:get_affiliation(User, Room), [owner, admin]).

seen(#state{host = Rooms} = Room, Entering) ->
    Before = get(?SEEN),
    erase(?SEEN), % holds no state of a room that is not wanted
    wanted(Rooms, fun(Intake) ->
        Known = Before /= undefined andalso Before#seen.created,
        New = not Known andalso Entering /= none andalso Room#state.just_created == true andalso Room#state.users == #{},
        put(?SEEN, #seen{room = Room, entering = Entering, created = Known orelse New}),
        New andalso found_new(Room, Entering, Intake)
    end).

%% The first presence in a room that its sender has created.
found_new(#state{jid = Jid} = Room, {Creator, _}, Intake) ->
    created(Jid, Creator, Intake),
    Bare = jid:remove_resource(Creator),
    Affiliation = mod_muc_room:get_affiliation(Bare, Room),
    affiliation(Jid, Bare, {Affiliation, <<>>}, none, Intake).

affiliation(Room, Jid, {Affiliation, Reason}, Cause, Intake) ->
    Content = #muc_user{items = [#muc_item{affiliation = Affiliation, jid = Jid, reason = Reason}]},
    report(<<"room-affiliation">>, #presence{from = Jid, to = Room, sub_els = [Content]}, Cause, Intake).

join_room(_Server, Name, Rooms, Jid) ->
    wanted(Rooms, fun(Intake) -> joined(jid:make(Name, Rooms), Jid, get(?SEEN), Intake) end).

joined(_Place, Jid, #seen{room = #state{jid = Place, nicks = Nicks} = Room, entering = {Jid, Nick}}, Intake) ->
    Affiliation = mod_muc_room:get_affiliation(Jid, Room),
    Item = #muc_item{affiliation = Affiliation, role = role(Affiliation, Room#state.config), jid = Jid},
    is_map_key(Nick, Nicks) orelse moved(<<"room-joined">>, available, {Jid, jid:replace_resource(Place, Nick)}, Item, Intake);
joined(Place, Jid, _Unseen, Intake) ->
    moved(<<"room-joined">>, available, {Jid, Place}, #muc_item{jid = Jid}, Intake).

moved(Event, Type, {From, To}, Item, Intake) ->
    report(Event, #presence{type = Type, from = From, to = To, sub_els = [#muc_user{items = [Item]}]}, none, Intake).

%% The role that a room gives to an occupant.
role(Affiliation, _Config) when Affiliation == owner; Affiliation == admin -> moderator;
role(member, _Config) -> participant;
role(none, #config{members_only = false, members_by_default = true}) -> participant;
role(none, #config{members_only = false}) -> visitor;
role(_Affiliation, _Config) -> none.

leave_room(_Server, Name, Rooms, Jid) ->
    wanted(Rooms, fun(Intake) -> left(jid:make(Name, Rooms), Jid, get(?SEEN), Intake) end).

left(_Place, _Jid, #seen{destroyed = true}, _Intake) ->
    ok;
left(Place, Jid, #seen{room = #state{jid = Place, users = Users, nicks = Nicks} = Room, left = Left} = Seen, Intake) ->
    Client = jid:tolower(Jid),
    put(?SEEN, Seen#seen{left = [Client | Left]}),
    Item = #muc_item{affiliation = mod_muc_room:get_affiliation(Jid, Room), role = none, jid = Jid},
    case Users of
        #{Client := #user{nick = Nick}} ->
            maps:get(Nick, Nicks, []) -- [Client | Left] == [] andalso
                moved(<<"room-left">>, unavailable, {Jid, jid:replace_resource(Place, Nick)}, Item, Intake);
        #{} ->
            moved(<<"room-left">>, unavailable, {Jid, Place}, Item, Intake)
    end;
left(Place, Jid, _Unseen, Intake) ->
    moved(<<"room-left">>, unavailable, {Jid, Place}, #muc_item{role = none, jid = Jid}, Intake).

wanted(Rooms, Tap) ->
    case reporter(Rooms, tapped()) of
        none ->
            ok;
        Host ->
            event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(Intake) ->
                event_pusher_tap_intake:wants(rooms, Intake) andalso Tap(Intake)
            end)
    end.

reporter(_Rooms, []) ->
    none;
reporter(Rooms, Hosts) ->
    case lists:sort([{-byte_size(Host), Host} || Host <- Hosts, is_below(Rooms, Host)]) of
        [{_, Longest} | _] -> Longest;
        [] -> lists:min(Hosts)
    end.

is_below(Domain, Host) ->
    Before = byte_size(Domain) - byte_size(Host) - 1,
    Before > 0 andalso binary:part(Domain, Before, byte_size(Host) + 1) == <<".", Host/binary>>.

%%% Absent members

muc_filter_message(#message{} = Packet, #state{} = Room, Nick) ->
    seen(Room, none),
    lists:foreach(
        fun(Host) ->
            event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(Intake) ->
                event_pusher_tap_intake:wants(members, Intake) andalso pass_on(Packet, Nick, Room, Intake)
            end)
        end,
        tapped()
    ),
    Packet;
muc_filter_message(Packet, _Room, _Nick) ->
    Packet.

pass_on(#message{from = From} = Packet, Nick, #state{jid = Jid} = Room, #intake{host = Host, shared = Shared}) ->
    Reached = reached(Packet, Host, Room),
    {Listed, Unlisted} = members(Host, Room),
    Absent = maps:keys(maps:without(Reached, Listed)),
    atomics:add(Shared, ?LEFT_OUT, Unlisted - reached_unlisted(Unlisted, Reached, Listed, {Host, Room})),
    Heard = xmpp:set_from(xmpp:remove_subtag(Packet, #nick{}), jid:replace_resource(Jid, Nick)),
    Absent == [] orelse hand_over({copy, Heard, jid:remove_resource(From), Absent}, length(Absent), {Host, Shared}).

hand_over(Copies, Count, {Host, Shared}) ->
    case atomics:add_get(Shared, ?COPIES, Count) of
        Waiting when Waiting =< ?MOST_COPIES ->
            gen_server:cast(worker(Host), Copies);
        _ ->
            atomics:sub(Shared, ?COPIES, Count),
            atomics:add(Shared, ?LEFT_OUT, Count)
    end.

%% The users of a virtual host to whom the room sends the message: its occupants, and the subscribers (MUC/Sub), in the room or not.
reached(#message{subject = Subject}, Host, #state{users = Users, muc_subscribers = #muc_subscribers{subscriber_nodes = Nodes}}) ->
    Node =
        case Subject of
            [] -> ?NS_MUCSUB_NODES_MESSAGES;
            _ -> ?NS_MUCSUB_NODES_SUBJECT
        end,
    Jids = maps:keys(Users) ++ maps:keys(maps:get(Node, Nodes, #{})),
    lists:usort([User || {User, Server, _} <- Jids, Server == Host]).

reached_unlisted(0, _Reached, _Listed, _Where) ->
    0;
reached_unlisted(_Unlisted, Reached, Listed, {Host, #state{affiliations = Affiliations}}) ->
    length([
        User
     || User <- Reached, not is_map_key(User, Listed), is_member(maps:get({User, Host, <<>>}, Affiliations, none))
    ]).

is_member({Affiliation, _Reason}) -> is_member(Affiliation);
is_member(Affiliation) -> Affiliation == member orelse Affiliation == admin orelse Affiliation == owner.

%% The members of a room on a virtual host, up to a limit, and the number of further ones. The same map is compared at once.
members(Host, #state{affiliations = Affiliations}) ->
    case get(?MEMBERS) of
        {Affiliations, #{Host := Members}} ->
            Members;
        {Affiliations, Others} ->
            keep_members(Host, Affiliations, Others);
        _ ->
            keep_members(Host, Affiliations, #{})
    end.

keep_members(Host, Affiliations, Others) ->
    Most = gen_mod:get_module_opt(Host, mod_event_pusher_tap, max_members),
    Members = maps:fold(fun(Jid, Affiliation, Known) -> with_member(Jid, Affiliation, Known, {Host, Most}) end, {#{}, 0}, Affiliations),
    put(?MEMBERS, {Affiliations, Others#{Host => Members}}),
    Members.

with_member({User, Host, <<>>}, Affiliation, {Listed, Unlisted} = Known, {Host, Most}) when User /= <<>> ->
    case {is_member(Affiliation), map_size(Listed) < Most} of
        {false, _} -> Known;
        {true, true} -> {Listed#{User => []}, Unlisted};
        {true, false} -> {Listed, Unlisted + 1}
    end;
with_member(_Jid, _Affiliation, Known, _Limit) ->
    Known.

%%% The process

worker(Host) ->
    gen_mod:get_module_proc(Host, ?MODULE).

init([Host, _Opts]) ->
    process_flag(sensitive, true), % messages of users must not appear in a crash report
    case event_pusher_tap_intake:find(Host) of
        #intake{shared = Shared} -> atomics:put(Shared, ?COPIES, 0);
        closed -> ok
    end,
    {ok, Host}.

handle_call(_Request, _From, Host) ->
    {reply, {error, badarg}, Host}.

handle_cast({copy, Packet, Sender, Users}, Host) ->
    event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(#intake{shared = Shared} = Intake) ->
        atomics:sub(Shared, ?COPIES, length(Users)),
        [copy(jid:make(User, Host), Packet, Sender, Intake) || User <- Users, ejabberd_auth:user_exists(User, Host)]
    end),
    {noreply, Host};
handle_cast({compare, Pid, From, Before}, Host) ->
    event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(Intake) ->
        case mod_muc_room:get_state(Pid) of
            {ok, Room} -> compare(Before, From, Room, Intake);
            _ -> ok
        end
    end),
    {noreply, Host};
handle_cast(_Request, Host) ->
    {noreply, Host}.

handle_info(_Info, Host) ->
    {noreply, Host}.

format_status(Status) ->
    maps:without([message, log, queue], Status).

copy(To, Packet, Sender, Intake) ->
    Clients = event_pusher_tap_hooks:clients(To),
    Attrs = [{<<"dir">>, <<"out">>}, {<<"occupant">>, <<"false">>}, {<<"sessions">>, integer_to_binary(Clients)} | sender(Sender)],
    event_pusher_tap_intake:hand_in(xmpp:set_to(Packet, To), Attrs, Intake).

compare(Changes, From, #state{jid = Jid} = Room, Intake) ->
    [
        affiliation(Jid, jid:remove_resource(Whom), {Affiliation, Reason}, From, Intake)
     || {Whom, Before, Reason} <- Changes, (Affiliation = mod_muc_room:get_affiliation(Whom, Room)) /= Before
    ].
