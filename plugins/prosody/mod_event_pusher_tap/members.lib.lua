-- Copies of a room's message for members who are not in the room, for mod_event_pusher_tap: made only if the pusher requests
-- `members`.
--
-- A member is a user of this host with an affiliation of member, admin or owner. The rooms are those of all multi-user chats
-- of this Prosody. Each message takes one pass over its occupants and its members; the copies of a large room are made in
-- several turns of the event loop, in the order of the messages, so that no message delays the server for long.

local jid_split = require "util.jid".split;
local time_now = require "util.time".now;
local timer = require "util.timer";
local rooms = module:require "rooms";

local most_members = module:get_option_number("event_pusher_tap_max_members", 1000);

-- Copies made in one turn of the event loop.
local most_copies = 100;
-- Copies that may wait for a later turn; beyond them, those of the oldest message are made at once.
local most_waiting = 20000;

-- The source: { want(word), guarded(what, hook), exists(bare), count_clients(bare), copies_of(stanza) }. `copies_of` returns a
-- function that queues the copy for a member.
local tap;

local left_out = 0; -- members beyond `most_members`, since the module was loaded

--- The members of a room

local affiliations = { member = true, admin = true, owner = true };

-- By room: the bare JIDs of up to `most_members` users of this host, and in `total` the number of all.
local lists = setmetatable({}, { __mode = "k" });

local function is_member(jid, affiliation)
	local node, domain = jid_split(jid);
	return affiliations[affiliation] and node ~= nil and domain == module.host;
end

local function members_of(room)
	local list = lists[room];
	if list then return list; end
	list = { total = 0, listed = {} };
	for jid, affiliation in room:each_affiliation() do
		if is_member(jid, affiliation) then
			list.total = list.total + 1;
			if #list < most_members then
				list[#list + 1] = jid;
				list.listed[jid] = true;
			end
		end
	end
	lists[room] = list;
	return list;
end

-- Returns the bare JIDs of the occupants, and counts the absent members that are not in the list.
local function occupants_of(room, list)
	local present, unlisted = {}, list.total - #list;
	for _, occupant in room:each_occupant() do
		local jid = occupant.bare_jid;
		if not present[jid] and unlisted > 0 and not list.listed[jid] and is_member(jid, room:get_affiliation(jid)) then
			unlisted = unlisted - 1;
		end
		present[jid] = true;
	end
	left_out = left_out + unlisted;
	return present;
end

--- Accounts, kept for a while: a storage in files reads a file for each lookup

local most_accounts, seconds_known = 100000, 600;
local accounts, number_of_accounts, known_since = {}, 0, 0;

local function exists(bare)
	local known = accounts[bare];
	if known ~= nil then return known; end
	known = tap.exists(bare) and true or false;
	accounts[bare], number_of_accounts = known, number_of_accounts + 1;
	return known;
end

local function forget_old_accounts()
	local now = time_now();
	if number_of_accounts < most_accounts and now - known_since < seconds_known then return; end
	accounts, number_of_accounts, known_since = {}, 0, now;
end

local function forget_account(event)
	accounts[event.username .. "@" .. module.host] = nil;
end

--- Copies

local jobs = { first = 1, last = 0 }; -- messages whose copies are not complete
local waiting = 0; -- members of these
local turn; -- the timer, while it is set

-- Makes up to `most` copies for the first message, whose place moves on even if one fails.
local function work(most)
	local job = jobs[jobs.first];
	for _ = 1, most do
		local bare = job.members[job.place];
		if not bare then break; end
		job.place, waiting = job.place + 1, waiting - 1;
		if not job.present[bare] and exists(bare) then job.copy(bare, tap.count_clients(bare)); end
	end
	if job.members[job.place] then return; end
	jobs[jobs.first] = nil;
	jobs.first = jobs.first + 1;
end

local function finish()
	while jobs[jobs.first] do work(most_members); end
end

local take_turn;

local function next_turn()
	if jobs[jobs.first] and not turn then turn = timer.add_task(0, take_turn); end
end

local function begin_turn()
	turn = nil;
	next_turn(); -- before the work, which may fail
	if jobs[jobs.first] then work(most_copies); end
end

local function queue_copies(event)
	local room, stanza = event.room, event.stanza;
	if not tap.want("members") or stanza.attr.type ~= "groupchat" then return; end
	local members = members_of(room);
	if not members[1] then return; end
	forget_old_accounts();
	jobs.last = jobs.last + 1;
	jobs[jobs.last] = { members = members, place = 1, present = occupants_of(room, members), copy = tap.copies_of(stanza) };
	waiting = waiting + #members;
	if jobs.first == jobs.last then work(most_copies); end
	while waiting > most_waiting do work(most_members); end
	next_turn();
end

local function affiliation_set(event)
	lists[event.room] = nil;
end

local function begin(source)
	tap = source;
	take_turn = tap.guarded("copies for absent members", begin_turn);
	-- Other modules have changed the message by then, mod_muc_mam with its id in the archive; mod_muc broadcasts it afterwards.
	rooms.observe({ ["muc-broadcast-message"] = tap.guarded("absent members of a room", queue_copies) }, -100);
	rooms.observe({ ["muc-set-affiliation"] = affiliation_set });
	module:hook("user-registered", forget_account);
	module:hook_global("user-deleted", function (event)
		if event.host == module.host then forget_account(event); end
	end);
end

local function stop()
	finish();
	if turn then timer.stop(turn); end
	turn = nil;
end

return { begin = begin, stop = stop, left_out = function () return left_out; end };
