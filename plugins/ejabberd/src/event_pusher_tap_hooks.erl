%% event_pusher_tap_hooks: selects the stanzas of a virtual host's users that are tapped, and adds their attributes. Runs in
%% the processes of sessions.
%%
%%   in      sent by a client of this host, or by an administrator in its name, unless the sender's privacy lists refuse it. A
%%           message has the archive id of its sender.
%%   out     routed to a user of this host: once per receiver, with the number of clients that receive it (0 for an offline
%%           user; a client that is only held for resumption, XEP-0198, is not counted). A message has the archive id of the
%%           receiver, and a message from a room of this server its sender's account. Stanzas that are blocked, refused, or
%%           addressed to an account that does not exist are not routed.
%%   status  the first client of a user became available, or the last one ended; event_pusher_tap_online decides.
%%   unack   a message was written to a client that ended without acknowledging it (XEP-0198).
%%
%% In a cluster a message is tapped `in` on the node of the sender's session and `out` on the node of the receiver's (of the
%% sender's if the receiver is offline); presence and iq are tapped on the node of the sender, in both directions.

-module(event_pusher_tap_hooks).

-export([add/1, delete/1, vanished/2, clients/1]).
-export([
    user_send_packet/1,
    user_receive_packet/1,
    offline_message/1,
    sm_receive_packet/1,
    c2s_self_presence/1,
    c2s_copy_session/2,
    c2s_session_pending/1,
    unacknowledged/2,
    c2s_terminated/2
]).

-include("xmpp.hrl").
-include("event_pusher_tap.hrl").

add(Host) ->
    [ejabberd_hooks:add(Hook, Host, ?MODULE, Function, Seq) || {Hook, Function, Seq} <- hooks()].

delete(Host) ->
    [ejabberd_hooks:delete(Hook, Host, ?MODULE, Function, Seq) || {Hook, Function, Seq} <- hooks()].

hooks() ->
    [
        {user_send_packet, user_send_packet, 95},
        {user_receive_packet, user_receive_packet, 95},
        {offline_message_hook, offline_message, 60},
        {sm_receive_packet, sm_receive_packet, 95},
        %% Before other modules change the presence.
        {c2s_self_presence, c2s_self_presence, 10},
        {c2s_copy_session, c2s_copy_session, 50},
        {c2s_session_pending, c2s_session_pending, 50},
        %% mod_stream_mgmt 50 empties its queue, and stops here for a session that was resumed; ejabberd_c2s 100 notifies the
        %% contacts and closes the session.
        {c2s_terminated, unacknowledged, 40},
        {c2s_terminated, c2s_terminated, 90}
    ].

%%% Stanzas sent by clients

%% mod_privacy 50, mod_mam 88 adds the archive id, mod_carboncopy 89; then this module; mod_mam removes the archive id of the
%% sender at 500. Administrators' commands run this hook too, with a state that has only a `jid`.
user_send_packet({Packet, #{jid := #jid{lserver = Host}} = State}) when ?is_stanza(Packet) ->
    event_pusher_tap_intake:guarded(Host, ?FAILED_IN, fun(Intake) -> sent(Packet, State, Intake) end),
    {mark_request(Packet), State};
user_send_packet(Acc) ->
    Acc.

sent(#presence{type = probe}, _State, _Intake) ->
    ok;
sent(Packet, #{jid := Jid} = State, Intake) ->
    Tapped = is_wanted(in, Packet, Intake) andalso Jid#jid.luser /= <<>> andalso not concerns_pusher(Packet, Intake),
    case Tapped andalso may_send(Packet, State) of
        true -> event_pusher_tap_intake:hand_in(without_own_address(Packet, Jid), in(Jid), Intake);
        false -> ok
    end.

%% A session checks its privacy lists only after this hook. They do not apply to stanzas that an administrator sends in a user's name.
may_send(Packet, #{sid := _, lserver := Host} = State) ->
    allow == ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [State, Packet, out]);
may_send(_Packet, _State) ->
    true.

%% ejabberd addresses a client's broadcast to the client's own account.
without_own_address(#presence{to = #jid{luser = U, lserver = S, lresource = <<>>}} = Packet, #jid{luser = U, lserver = S}) ->
    Packet#presence{to = undefined};
without_own_address(Packet, _Jid) ->
    Packet.

%% A client that disconnects without presence.
c2s_terminated(#{jid := #jid{lserver = Host} = Jid, pres_last := _} = State, _Reason) ->
    Packet = #presence{type = unavailable, from = Jid},
    event_pusher_tap_intake:guarded(Host, ?FAILED_IN, fun(Intake) ->
        is_wanted(in, Packet, Intake) andalso event_pusher_tap_intake:hand_in(Packet, in(Jid), Intake),
        changed({went, self()}, Packet, Intake)
    end),
    State;
c2s_terminated(State, _Reason) ->
    State.

%%% Users online and offline

%% Runs for a presence that the client broadcasts, and for one that an administrator sets in its name. `pres_last` is the
%% previous one: only a change counts.
c2s_self_presence({#presence{type = available} = Packet, State} = Acc) when not is_map_key(pres_last, State) ->
    told(came, Packet, State),
    Acc;
c2s_self_presence({#presence{type = unavailable} = Packet, #{pres_last := _} = State} = Acc) ->
    told(went, Packet, State),
    Acc;
c2s_self_presence(Acc) ->
    Acc.

told(Change, Packet, #{jid := #jid{lserver = Host} = Jid}) ->
    event_pusher_tap_intake:guarded(Host, ?FAILED_IN, fun(Intake) ->
        changed({Change, self()}, Packet#presence{from = Jid, to = undefined}, Intake)
    end).

%% For the keeper, which detects the end of a session process that did not run its hooks.
vanished({User, Resource, Pid}, Host) ->
    Packet = #presence{type = unavailable, from = jid:make(User, Host, Resource)},
    event_pusher_tap_intake:guarded(Host, ?FAILED_IN, fun(Intake) -> changed({went, Pid}, Packet, Intake) end).

changed({Change, Pid}, #presence{from = #jid{luser = User, lresource = Resource} = Jid} = Packet, Intake) ->
    case event_pusher_tap_intake:wants(status, Intake) of
        true -> event_pusher_tap_intake:report({Change, User, Resource, Pid}, {Packet, status(Change, Jid)}, Intake);
        false -> ok
    end.

%% Another process resumes a session (XEP-0198), possibly on another node. It notifies the keeper before the previous process is
%% ended.
c2s_copy_session(#{jid := #jid{luser = User, lserver = Host, lresource = Resource}, pres_last := _} = State, #{sid := {_, Former}}) ->
    event_pusher_tap_intake:guarded(Host, ?FAILED_IN, fun(Intake) ->
        event_pusher_tap_intake:wants(status, Intake) andalso
            event_pusher_tap_intake:report({moved_here, User, Resource, self()}, nothing, Intake)
    end),
    node(Former) /= node() andalso event_pusher_tap_keeper:moved_away({User, Resource, Former}, Host),
    State;
c2s_copy_session(State, _Former) ->
    State.

%% The connection broke and the session is held for resumption (XEP-0198); a resumed session has a new entry, without this.
c2s_session_pending(#{jid := Jid} = State) ->
    {User, Host, Resource} = jid:tolower(Jid),
    _ = ejabberd_sm:set_user_info(User, Host, Resource, ?MARK, true),
    State#{?MARK => erlang:timestamp()}.

%%% Stanzas routed to users

%% Messages are tapped when they have reached a session, after every module that may refuse them: mod_block_strangers 25,
%% mod_mam 88 adds the archive id, mod_carboncopy 89 stops copies; then this module.
user_receive_packet({#message{} = Packet, #{jid := #jid{lserver = Host} = Jid} = State}) ->
    event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(Intake) -> reached(Packet, Jid, Intake) end),
    {mark_routed(Packet), State};
user_receive_packet(Acc) ->
    Acc.

%% After mod_mam 49 and mod_offline 50, which may refuse a message when too many are stored.
offline_message({_Action, #message{to = #jid{lserver = Host}} = Packet} = Acc) ->
    event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(Intake) -> routed(Packet, Intake) end),
    Acc;
offline_message(Acc) ->
    Acc.

%% A message to an account is sent to every session of the highest priority, and all but one are marked; a headline is also sent
%% to those of lower priority, without a mark.
reached(#message{type = headline, to = #jid{lresource = <<>>}} = Packet, #jid{luser = U, lserver = S, lresource = R}, Intake) ->
    case lists:sort([Present || {Priority, _} = Present <- ejabberd_sm:get_user_present_resources(U, S), Priority >= 0]) of
        [_ | _] = Resources when element(2, hd(Resources)) /= R -> ok;
        _ -> routed(Packet, Intake)
    end;
reached(Packet, _Jid, Intake) ->
    routed(Packet, Intake).

%% Skipped: stanzas that were tapped before (the other sessions, offline messages, messages that stream management routes
%% again), copies, results of an archive, and errors that were generated here for a local sender.
routed(#message{meta = #{sm_copy := true}}, _Intake) ->
    ok;
routed(#message{meta = #{carbon_copy := true}}, _Intake) ->
    ok;
routed(#message{meta = #{from_offline := true}}, _Intake) ->
    ok;
routed(#message{meta = #{?MARK := routed}}, _Intake) ->
    ok;
routed(Packet, Intake) ->
    Tapped = is_wanted(out, Packet, Intake) andalso not concerns_pusher(Packet, Intake) andalso not is_answer_of_server(Packet),
    case Tapped andalso not is_archive_result(Packet) of
        true -> event_pusher_tap_intake:hand_in(Packet, out(receivers(Packet)) ++ sender(Packet), Intake);
        false -> ok
    end.

%% Presence and iq are tapped when they are routed to the account, once for all its sessions.
sm_receive_packet(Packet) when is_record(Packet, presence); is_record(Packet, iq) ->
    #jid{lserver = Host} = xmpp:get_to(Packet),
    event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(Intake) -> routed_to_account(Packet, Intake) end),
    Packet;
sm_receive_packet(Packet) ->
    Packet.

routed_to_account(#presence{type = probe}, _Intake) ->
    ok;
routed_to_account(Packet, Intake) ->
    To = xmpp:get_to(Packet),
    Tapped = is_wanted(out, Packet, Intake) andalso not concerns_pusher(Packet, Intake) andalso not is_answer_of_server(Packet)
        andalso not is_own_talk(xmpp:get_from(Packet), To),
    case Tapped andalso exists(To) andalso may_receive(Packet, To) of
        true -> event_pusher_tap_intake:hand_in(Packet, out(receivers(Packet)), Intake);
        false -> ok
    end.

%% Between an account and itself, or the server and an account.
is_own_talk(#jid{luser = U, lserver = S}, #jid{luser = U, lserver = S}) -> true;
is_own_talk(#jid{luser = <<>>, lserver = S}, #jid{lserver = S}) -> true;
is_own_talk(_From, _To) -> false.

may_receive(Packet, #jid{lserver = Host} = To) ->
    allow == ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [To, Packet, in]).

exists(#jid{luser = User, lserver = Host}) ->
    ejabberd_sm:get_user_resources(User, Host) /= [] orelse ejabberd_auth:user_exists(User, Host).

%% The number of clients to which ejabberd_sm delivers the stanza. A chat message to a client that is gone is routed to the
%% account. For an iq to an account, which the server answers: the available clients.
receivers(Packet) ->
    #jid{lresource = Resource} = To = xmpp:get_to(Packet),
    Connected = connected(To),
    case has_session(Resource, To) of
        true -> length([here || {Other, _} <- Connected, Other == Resource]);
        false when Resource == <<>>; element(1, Packet) == message -> length(available(Connected, least_priority(Packet)));
        false -> 0
    end.

least_priority(#message{}) -> 0;
least_priority(_) -> -128.

has_session(<<>>, _To) -> false;
has_session(Resource, #jid{luser = User, lserver = Host}) -> lists:member(Resource, ejabberd_sm:get_user_resources(User, Host)).

available(Connected, LeastPriority) ->
    [Client || {_, Priority} = Client <- Connected, is_integer(Priority), Priority >= LeastPriority].

%% The number of clients that receive a message to the account.
clients(Jid) ->
    length(available(connected(Jid), 0)).

%% A user's clients on all nodes, with the priority of those that are available.
connected(#jid{luser = User, lserver = Host}) ->
    [
        {Resource, proplists:get_value(priority, Info)}
     || {Resource, Info} <- ejabberd_sm:get_user_info(User, Host),
        not proplists:get_bool(?MARK, Info)
    ].

%% The room gives the sender in metadata that no client can set. Its subject and history have no sender.
sender(#message{type = groupchat, from = Room, subject = Subject, body = Body, meta = #{muc_sender_real_jid := Jid}} = Packet) when
    Subject == []; Body /= []
->
    case is_history(Packet, Room) of
        true -> [];
        false -> [{<<"sender">>, jid:encode(jid:remove_resource(Jid))}]
    end;
sender(#message{sub_els = Els}) ->
    lists:flatmap(fun sender/1, [Said || Event <- Els, Said <- nested_by_room(Event)]);
sender(_Packet) ->
    [].

%% MUC/Sub: a message of the room to a subscriber who is not in it. A stanza from a stream is not a record here.
nested_by_room(#ps_event{items = #ps_items{node = ?NS_MUCSUB_NODES_MESSAGES, items = [#ps_item{sub_els = [#message{} = Said]}]}}) ->
    [Said];
nested_by_room(_Element) ->
    [].

is_history(Packet, #jid{luser = Room, lserver = Rooms}) ->
    case xmpp:get_subtag(Packet, #delay{stamp = {0, 0, 0}}) of
        #delay{from = #jid{luser = Room, lserver = Rooms}} -> true;
        _ -> false
    end.

%%% Unacknowledged messages

%% The messages that mod_stream_mgmt still holds for a session that is about to end. It may route them again (to the offline
%% store, or to another client), which is not a second `out`, or return an error to the sender.
unacknowledged(#{mgmt_state := Mgmt, mgmt_queue := Queue, jid := #jid{lserver = Host} = Jid} = State, _Reason) when
    Mgmt == active; Mgmt == pending; Mgmt == timeout
->
    event_pusher_tap_intake:guarded(Host, ?FAILED_OUT, fun(Intake) ->
        case event_pusher_tap_intake:wants(unack, Intake) of
            true -> never_received([Packet || {_, At, Packet} <- p1_queue:to_list(Queue), was_written(At, State)], Jid, Intake);
            false -> ok
        end
    end),
    State;
unacknowledged(State, _Reason) ->
    State.

%% Messages that arrived while the session was held for resumption were not written; their `out` did not count that client.
was_written(At, #{?MARK := BrokenAt}) -> At =< BrokenAt;
was_written(_At, _State) -> true.

never_received(Packets, #jid{lresource = Resource} = Jid, Intake) ->
    Others = length(lists:keydelete(Resource, 1, available(connected(Jid), 0))),
    [
        event_pusher_tap_intake:hand_in(Packet, unack(Jid, Others) ++ sender(Packet), Intake)
     || #message{type = Type, meta = #{?MARK := routed} = Meta} = Packet <- Packets,
        Type /= error,
        not maps:get(carbon_copy, Meta, false),
        not concerns_pusher(Packet, Intake)
    ].

%%% Classification of stanzas

%% ejabberd derives its answers and errors from the request, with its metadata; stanzas from a stream have none.
mark_request(#message{type = error} = Packet) -> Packet;
mark_request(#presence{type = error} = Packet) -> Packet;
mark_request(#iq{type = Type} = Packet) when Type == result; Type == error -> Packet;
mark_request(Packet) -> xmpp:put_meta(Packet, ?MARK, request).

mark_routed(Packet) ->
    case is_archive_result(Packet) of
        true -> Packet;
        false -> xmpp:put_meta(Packet, ?MARK, routed)
    end.

is_answer_of_server(Packet) ->
    case xmpp:get_type(Packet) of
        Type when Type == error; Type == result -> xmpp:get_meta(Packet, ?MARK, none) /= none;
        _ -> false
    end.

%% A stanza of a local user is not a result. Any other sender can use the element to hide a message, so it counts only if there
%% is no other content.
is_archive_result(#message{meta = #{?MARK := request}}) ->
    false;
is_archive_result(#message{body = [], subject = [], sub_els = Els}) ->
    lists:any(fun is_result/1, Els) andalso lists:all(fun(El) -> is_result(El) orelse is_note(El) end, Els);
is_archive_result(_Packet) ->
    false.

is_result(#mam_result{}) -> true;
is_result(#xmlel{name = <<"result">>} = El) -> is_archive(xmpp:get_ns(El));
is_result(_El) -> false.

is_archive(<<"urn:xmpp:mam:", _/binary>>) -> true;
is_archive(_) -> false.

%% Elements that servers and clients add to the content of a message.
is_note(El) ->
    lists:member(xmpp:get_ns(El), [?NS_DELAY, ?NS_HINTS, ?NS_SID_0]).

concerns_pusher(Packet, #intake{component = Component}) ->
    domain(xmpp:get_from(Packet)) == Component orelse domain(xmpp:get_to(Packet)) == Component.

domain(#jid{lserver = Domain}) -> Domain;
domain(undefined) -> none.

is_wanted(Dir, Packet, Intake) ->
    event_pusher_tap_intake:wants({Dir, element(1, Packet)}, Intake).

%%% Attributes of an item

in(#jid{lresource = <<>>}) -> [{<<"dir">>, <<"in">>}];
in(Jid) -> [{<<"dir">>, <<"in">>}, {<<"session">>, jid:encode(Jid)}].

out(Clients) -> [{<<"dir">>, <<"out">>}, {<<"sessions">>, integer_to_binary(Clients)}].

unack(Jid, Clients) ->
    [{<<"dir">>, <<"unack">>}, {<<"session">>, jid:encode(Jid)}, {<<"sessions">>, integer_to_binary(Clients)}].

status(came, Jid) -> [{<<"dir">>, <<"status">>}, {<<"status">>, <<"online">>}, {<<"session">>, jid:encode(Jid)}];
status(went, Jid) -> [{<<"dir">>, <<"status">>}, {<<"status">>, <<"offline">>}, {<<"session">>, jid:encode(Jid)}].
