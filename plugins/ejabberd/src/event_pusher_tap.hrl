%% What the parts of mod_event_pusher_tap have in common.

-define(NS_TAP, <<"urn:x-event-pusher:tap:1">>).

%% The key of our marks on a packet's metadata and on a session's info.
-define(MARK, event_pusher_tap).

%% The default of `dir` in a resume.
-define(BOTH_DIRECTIONS, [<<"in">>, <<"out">>]).

%% The part of a virtual host's tap that every process can read.
-record(intake, {
    keeper :: pid(),
    host :: binary(),
    component :: binary(),
    max_bytes :: pos_integer(),
    %% event_pusher_tap_item:wrapper_bytes/2
    wrapper_bytes :: pos_integer(),
    %% Counters that hooks and keeper share; the names of the places are below.
    shared :: atomics:atomics_ref()
}).

%% A sum of the bits of wanted items.
-define(WANT, 1).
%% Bytes that were handed in and that the keeper has not yet taken.
-define(UNTAKEN_BYTES, 2).
%% Items that were not handed in because of them.
-define(REFUSED, 3).
%% Failures of each direction; only the first one is logged.
-define(FAILED_IN, 4).
-define(FAILED_OUT, 5).
%% How many bytes of XML an item may have.
-define(MAX_ITEM, 6).
%% Copies for absent members that the process of event_pusher_tap_rooms has to make, and those that were not made.
-define(COPIES, 7).
-define(LEFT_OUT, 8).
-define(SHARED_PLACES, 8).

%% A pusher that takes less than this is not believed (RFC 6120, section 13.12).
-define(LEAST_MAX_ITEM, 10000).

%% A pusher that has stopped reading sends a stanza every 2 seconds.
-define(LEAST_FROZEN_AFTER, 4).
