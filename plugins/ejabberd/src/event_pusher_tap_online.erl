%% event_pusher_tap_online: the available clients of the users of a virtual host on this node, to report the first and the last
%% of each user. Owned by the keeper, which is notified of changes in order.
%%
%% The session table of ejabberd cannot be used: it changes before and after a hook reads it, and two clients that connect at the
%% same time would each find the other.

-module(event_pusher_tap_online).

-export([new/0, fill/2, forget/1, came/2, went/2, elsewhere/2]).

-include("ejabberd_sm.hrl").

%% A client is {User, Resource, Pid}: the process of its session.

new() ->
    ets:new(?MODULE, [ordered_set, private]).

%% Clients that are already online are not reported.
fill(Table, Host) ->
    [
        came({User, Resource, Pid}, Table)
     || #session{usr = {User, Of, Resource}, sid = {_, Pid}, priority = Priority} <- ejabberd_sm:dirty_get_my_sessions_list(),
        Of == Host,
        is_integer(Priority)
    ],
    ok.

forget(Table) ->
    [erlang:demonitor(Monitor, [flush]) || {_, _, Monitor} <- ets:tab2list(Table)],
    ets:delete_all_objects(Table).

%% Also for a client whose session another process resumes. When a process ends unexpectedly, its owner receives
%% `{{gone, Client}, _, process, _, _}`.
came({User, Resource, Pid} = Client, Table) ->
    Was = has_clients(User, Table),
    case ets:lookup(Table, {User, Resource}) of
        [{_, Pid, _}] ->
            another;
        Former ->
            [erlang:demonitor(Monitor, [flush]) || {_, _, Monitor} <- Former],
            Monitor = erlang:monitor(process, Pid, [{tag, {gone, Client}}]),
            ets:insert(Table, {{User, Resource}, Pid, Monitor}),
            alone_unless(Was)
    end.

%% A client that no longer has the resource was replaced.
went({User, Resource, Pid}, Table) ->
    case ets:lookup(Table, {User, Resource}) of
        [{Key, Pid, Monitor}] ->
            erlang:demonitor(Monitor, [flush]),
            ets:delete(Table, Key),
            alone_unless(has_clients(User, Table));
        _ ->
            another
    end.

alone_unless(true) -> another;
alone_unless(false) -> alone.

has_clients(User, Table) ->
    case ets:next(Table, {User, <<>>}) of
        {User, _} -> true;
        _ -> false
    end.

%% Whether the user has an available client on another node of a cluster, as far as this node knows.
elsewhere(User, Host) ->
    case ejabberd_cluster:get_nodes() of
        [_] ->
            false;
        _ ->
            lists:any(
                fun({_Resource, Info}) ->
                    is_integer(proplists:get_value(priority, Info)) andalso proplists:get_value(node, Info) /= node()
                end,
                ejabberd_sm:get_user_info(User, Host)
            )
    end.
