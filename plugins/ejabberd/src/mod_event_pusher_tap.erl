%% mod_event_pusher_tap: sends the stanzas of a virtual host's users to xmpp-event-pusher.
%%
%% Loaded on a virtual host. A copy of every requested stanza is sent, numbered and in order, to an external component
%% (XEP-0114), and is kept in a bounded queue until that component has acknowledged it. The options are described in README.md
%% of this module, the protocol (urn:x-event-pusher:tap:1) in docs/reference/tap-protocol.md of the pusher. Works with
%% ejabberd 23.01.
%%
%% The parts:
%%   event_pusher_tap_hooks      selects stanzas and their attributes, in the processes of the sessions
%%   event_pusher_tap_item       writes them as XML, once
%%   event_pusher_tap_intake     passes them on without waiting
%%   event_pusher_tap_keeper     one process per virtual host: numbers them and sends them to the component
%%   event_pusher_tap_writer     writes to the connection of the component
%%   event_pusher_tap_queue      the queue of unacknowledged items
%%   event_pusher_tap_disk       the queue as a file, with the option `disk`
%%   event_pusher_tap_online     the available clients of users
%%   event_pusher_tap_rooms      the life of rooms and accounts, and members who are not in a room
%%   event_pusher_tap_component  requests of the component
%% This module starts them with their options, and shows the counters.

-module(mod_event_pusher_tap).

-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([info/0, get_commands_spec/0]).

-include("translate.hrl").
-include("ejabberd_commands.hrl").
-include("event_pusher_tap.hrl").

start(Host, Opts) ->
    ejabberd_commands:register_commands(get_commands_spec()),
    ejabberd_hooks:add(component_send_packet, event_pusher_tap_component, component_send_packet, 50),
    Started = gen_mod:start_child(event_pusher_tap_keeper, Host, Opts, gen_mod:get_module_proc(Host, ?MODULE)),
    _ = gen_mod:start_child(event_pusher_tap_rooms, Host, Opts, gen_mod:get_module_proc(Host, event_pusher_tap_rooms)),
    Started.

stop(Host) ->
    case gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        false ->
            ejabberd_hooks:delete(component_send_packet, event_pusher_tap_component, component_send_packet, 50),
            ejabberd_commands:unregister_commands(get_commands_spec());
        true ->
            ok
    end,
    _ = gen_mod:stop_child(gen_mod:get_module_proc(Host, event_pusher_tap_rooms)),
    gen_mod:stop_child(gen_mod:get_module_proc(Host, ?MODULE)).

reload(Host, NewOpts, _OldOpts) ->
    event_pusher_tap_keeper:reload(Host, NewOpts).

%% mod_mam and mod_carboncopy may be loaded or not; only the order of the hooks matters.
depends(_Host, _Opts) ->
    [].

mod_opt_type(component) -> econf:domain();
mod_opt_type(disk) -> econf:bool();
mod_opt_type(frozen_after) -> econf:int(?LEAST_FROZEN_AFTER, 3600);
mod_opt_type(max_item) -> econf:int(?LEAST_MAX_ITEM, 16#7fffffff);
mod_opt_type(max_members) -> econf:int(0, 100000);
mod_opt_type(node) -> econf:binary();
mod_opt_type(queue_bytes) -> econf:pos_int();
mod_opt_type(queue_items) -> econf:pos_int();
%% ejabberd closes a component's connection if 10000 stanzas wait in it (max_fsm_queue of its listener).
mod_opt_type(window) -> econf:int(1, 5000).

mod_options(Host) ->
    [
        {component, <<"pusher.", Host/binary>>},
        {disk, false},
        {frozen_after, 8},
        {max_item, 900000},
        {max_members, 1000},
        {node, atom_to_binary(node(), utf8)},
        {queue_bytes, 64 * 1024 * 1024},
        {queue_items, 200000},
        {window, 2000}
    ].

mod_doc() ->
    #{
        desc => ?T("This module sends the stanzas of local users to xmpp-event-pusher, in order, and again until they "
                   "are acknowledged."),
        opts => [
            {component, #{value => ?T("Domain"), desc => ?T("The component that may take the feed. The default is "
                                                            "'pusher.' and the virtual host.")}},
            {disk, #{value => "true | false", desc => ?T("Whether the queue survives a restart of ejabberd. The default "
                                                         "is false.")}},
            {frozen_after, #{value => ?T("Number"), desc => ?T("Silence in seconds after which the feed of a component that answers "
                                                               "no probe is given to another that waits. The default is 8.")}},
            {max_item, #{value => ?T("Number"), desc => ?T("Maximum size of an item in bytes of XML if the component sends "
                                                           "no limit. The default is 900000.")}},
            {max_members, #{value => ?T("Number"), desc => ?T("Maximum number of members of a room who get a copy of its messages "
                                                              "when they are not in it. The default is 1000.")}},
            {node, #{value => ?T("Name"), desc => ?T("A stable name of this server, for clusters. The default is the "
                                                     "name of the Erlang node.")}},
            {queue_bytes, #{value => ?T("Number"), desc => ?T("Maximum size of the queue in bytes, sent and "
                                                              "unsent items together. The default is 64 MiB.")}},
            {queue_items, #{value => ?T("Number"), desc => ?T("Maximum number of items in the queue. The "
                                                              "default is 200000.")}},
            {window, #{value => ?T("Number"), desc => ?T("Maximum number of items sent and not yet acknowledged. The "
                                                         "default is 2000.")}}
        ]
    }.

%%% Counters for the operator

get_commands_spec() ->
    [
        #ejabberd_commands{
            name = event_pusher_tap_info,
            tags = [stats],
            desc = "Show how each virtual host's feed to the event pusher stands on this node",
            module = ?MODULE,
            function = info,
            args = [],
            result = {hosts, {list, {host, {tuple, [
                {name, string},
                {node, string},
                {attached, integer},
                {standby, integer},
                {epoch, string},
                {seq, integer},
                {sent, integer},
                {acknowledged, integer},
                {queued, integer},
                {bytes, integer},
                {in_flight, integer},
                {dropped, integer},
                {failed, integer}
            ]}}}},
            result_desc = "Numbers of the present epoch, one line per virtual host"
        }
    ].

info() ->
    [event_pusher_tap_keeper:report(Host) || Host <- ejabberd_option:hosts(), gen_mod:is_loaded(Host, ?MODULE)].
