-- Events in the life of rooms and accounts, for mod_event_pusher_tap: made only if the pusher requests `rooms` or `accounts`.
--
-- Each event is a presence of the room or user concerned, with what XEP-0045 has for it: see docs/reference/tap-protocol.md.
-- The rooms are those of all multi-user chats of this Prosody. An event of a room is reported by one of the taps: that of the
-- virtual host of which the rooms' domain is a subdomain, the longest if there are several, or else the first.

local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local rooms = module:require "rooms";

local xmlns_muc = "http://jabber.org/protocol/muc";
local xmlns_muc_user = "http://jabber.org/protocol/muc#user";

local tap; -- the source: { want(word), guarded(what, hook), taps(), report(event, presence, cause) }

local function is_below(domain, host)
	return domain:sub(-#host - 1) == "." .. host;
end

-- The virtual host whose tap reports on the rooms of a domain.
local function reporter_of(domain)
	local parent, first;
	for host in pairs(tap.taps()) do
		if is_below(domain, host) and (not parent or #host > #parent) then parent = host; end
		if not first or host < first then first = host; end
	end
	return parent or first;
end

local function presence_of(from, to, type)
	return st.presence { from = from, to = to, type = type };
end

local function with_item(presence, attr, reason)
	presence:tag("x", { xmlns = xmlns_muc_user }):tag("item", attr);
	if reason then presence:text_tag("reason", reason); end
	return presence:reset();
end

--- Rooms

local function affiliation_of(room, jid)
	return room:get_affiliation(jid) or "none";
end

local function created(event)
	local room, creator = event.room, event.creator;
	tap.report("room-created", presence_of(room.jid, room.jid), creator and creator.bare_jid);
end

local function joined(event)
	local room, occupant = event.room, event.occupant;
	local item = { affiliation = affiliation_of(room, occupant.bare_jid), role = occupant.role, jid = occupant.jid };
	tap.report("room-joined", with_item(presence_of(occupant.jid, event.nick), item));
end

-- Prosody reports another nickname as leaving, but as joining only if the client asks to join again.
local function takes_another_nick(room, stanza)
	if not stanza or stanza.attr.type or stanza:get_child("x", xmlns_muc) then return false; end
	return not room:get_occupant_by_nick(stanza.attr.to);
end

local function left(event)
	local room, occupant = event.room, event.occupant;
	if room.destroying or takes_another_nick(room, event.stanza) then return; end
	local item = { affiliation = affiliation_of(room, occupant.bare_jid), role = "none", jid = occupant.jid };
	tap.report("room-left", with_item(presence_of(occupant.jid, event.nick, "unavailable"), item));
end

local function destroyed(event)
	local room, reason = event.room, event.reason;
	local presence = presence_of(room.jid, room.jid, "unavailable");
	presence:tag("x", { xmlns = xmlns_muc_user }):tag("destroy", { jid = event.newjid });
	if reason then presence:text_tag("reason", reason); end
	tap.report("room-destroyed", presence:reset());
end

local function affiliation_set(event)
	local room, actor = event.room, event.actor;
	if event.affiliation == event.previous_affiliation then return; end
	local item = { affiliation = event.affiliation, jid = event.jid };
	tap.report("room-affiliation", with_item(presence_of(event.jid, room.jid), item, event.reason), actor and jid_bare(actor));
end

local events_of_rooms = {
	["muc-room-created"] = created;
	["muc-occupant-joined"] = joined;
	["muc-occupant-left"] = left;
	["muc-room-destroyed"] = destroyed;
	["muc-set-affiliation"] = affiliation_set;
};

local function of_this_host(report)
	return function (event)
		if tap.want("rooms") and reporter_of(jid_host(event.room.jid)) == module.host then report(event); end
	end
end

local function observe_rooms()
	local hooks = {};
	for name, report in pairs(events_of_rooms) do hooks[name] = tap.guarded("event of a room", of_this_host(report)); end
	rooms.observe(hooks, -0.5); -- mod_muc destroys an empty room at -1 of `muc-occupant-left`
end

--- Accounts

local function report_account(name, event, type)
	if tap.want("accounts") then tap.report(name, presence_of(event.username .. "@" .. module.host, nil, type)); end
end

local function registered(event)
	report_account("account-registered", event);
end

local function deleted(event)
	if event.host == module.host then report_account("account-deleted", event, "unavailable"); end
end

local function begin(source)
	tap = source;
	observe_rooms();
	module:hook("user-registered", tap.guarded("registered account", registered));
	module:hook_global("user-deleted", tap.guarded("deleted account", deleted));
end

return { begin = begin };
