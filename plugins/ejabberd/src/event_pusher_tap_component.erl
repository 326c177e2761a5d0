%% event_pusher_tap_component: requests of an external component to the taps of this node. They are taken from the component's
%% own connection, before they are routed, so that in a cluster the tap of this node answers.
%%
%% The time of the last stanza of a connection that has requested a feed is kept where the keepers can read it.

-module(event_pusher_tap_component).

-export([component_send_packet/1, process_iq/1, decode_iq_subel/1]).

-include("xmpp.hrl").
-include("event_pusher_tap.hrl").

%% In the state of a connection: the time of its last stanza, in milliseconds.
-define(HEARD, event_pusher_tap_heard).

%% Runs in the process of a component's connection, for all virtual hosts. Users and remote servers can send the same stanza;
%% only a connection of the component is accepted.
component_send_packet({Packet, #{?HEARD := Heard} = State}) ->
    atomics:put(Heard, 1, erlang:monotonic_time(millisecond)),
    requested({Packet, State});
component_send_packet(Acc) ->
    requested(Acc).

requested({#iq{to = #jid{luser = <<>>, lserver = Host, lresource = <<>>}, sub_els = [El]} = IQ, State} = Acc) ->
    case {event_pusher_tap_intake:find(Host), State} of
        {#intake{component = Component, keeper = Keeper}, #{remote_server := Component}} ->
            case request(IQ, xmpp:get_ns(El), El) of
                ping ->
                    self() ! {route, xmpp:make_iq_result(IQ)},
                    {drop, State};
                {resume, Attrs} ->
                    #{socket := Socket, ?HEARD := Heard} = Watched = watched(State),
                    gen_server:cast(Keeper, {resume, {self(), Socket, Heard}, IQ#iq{sub_els = []}, Attrs}),
                    {drop, Watched};
                {ack, Attrs} ->
                    gen_server:cast(Keeper, {ack, self(), IQ#iq{sub_els = []}, Attrs}),
                    {drop, State};
                none ->
                    Acc
            end;
        _ ->
            Acc
    end;
requested(Acc) ->
    Acc.

watched(#{?HEARD := _} = State) ->
    State;
watched(State) ->
    Heard = atomics:new(1, [{signed, true}]),
    atomics:put(Heard, 1, erlang:monotonic_time(millisecond)),
    State#{?HEARD => Heard}.

%% With several connections the router would send the answer to a ping to any of them, and the others would seem dead.
request(#iq{type = get}, ?NS_PING, _El) -> ping;
request(#iq{type = set}, ?NS_TAP, #xmlel{name = <<"resume">>, attrs = Attrs}) -> {resume, Attrs};
request(#iq{type = set}, ?NS_TAP, #xmlel{name = <<"ack">>, attrs = Attrs}) -> {ack, Attrs};
request(_IQ, _Namespace, _El) -> none.

%% The sender is not the component, or does not use the protocol.
process_iq(#iq{type = set, sub_els = [#xmlel{name = Name}]} = IQ) when Name == <<"resume">>; Name == <<"ack">> ->
    xmpp:make_error(IQ, xmpp:err_forbidden());
process_iq(IQ) ->
    xmpp:make_error(IQ, xmpp:err_bad_request()).

%% Without this the codec refuses an unknown namespace before process_iq/1 is called.
decode_iq_subel(El) ->
    El.
