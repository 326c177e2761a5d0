-- mod_event_pusher_tap: sends the stanzas of a virtual host's users to xmpp-event-pusher.
--
-- Loaded on a VirtualHost. A copy of every requested stanza is sent, numbered and in order, to an external component
-- (XEP-0114), and is kept in a bounded queue until that component has acknowledged it. The protocol,
-- urn:x-event-pusher:tap:1, is described in docs/reference/tap-protocol.md of the pusher. Works with Prosody 0.12 and 13.
--
-- Options (set them on the VirtualHost, or globally for all):
--   event_pusher_tap_component    the component's domain; default "pusher." .. the virtual host
--   event_pusher_tap_queue_bytes  maximum size of the queue, sent and unsent items together; default 64 MiB
--   event_pusher_tap_max_item     maximum size of an item in bytes of XML if the pusher sends no limit; default 900000
--   event_pusher_tap_window       maximum number of items sent and not yet acknowledged; default 2000
--   event_pusher_tap_disk         whether the queue is also kept on disk and survives a restart; default false. Needs the
--                                 folder mod_event_pusher_tap next to this file
--   event_pusher_tap_frozen_after silence in seconds after which a pusher that answers no probe loses the feed to another that
--                                 waits; default 8. Needs that folder too
--   event_pusher_tap_max_members  maximum number of members of a room for which copies of its messages are made, if the pusher
--                                 requests them; default 1000
--   event_pusher_tap_node         a stable name of this server; default "prosody". Needed only if several servers
--                                 serve the same virtual host
--
-- Directions:
--   in   sent by a client of this host, unless it is blocked (XEP-0191). A message has the archive id of its sender.
--   out  routed to a user of this host: once per receiver, with the number of clients that receive it (0 for an offline user;
--        a client that is only held for resumption, XEP-0198, is not counted). A message has the archive id of the receiver.
--        Blocked stanzas, and stanzas to an account that does not exist, are not routed.
--   status  the first client of a user became available, or the last one ended (only on request)
--   unack   a message was written to a client that did not acknowledge it (XEP-0198) and was given up (only on request)
--           With occupant='false': a message in a room that is not routed to a member of it: members.lib.lua (only on request)
--   event   in the life of a room or an account: life.lib.lua (only on request)
-- A room message is one `in`, and one `out` per occupant of this host, which names the speaker's account if the room is on
-- this server. Stanzas that Prosody writes to a client's stream without routing them are not tapped: carbon copies, archive
-- results, offline messages at login, answers to an iq, and errors that Prosody generates. Routed copies of an older
-- stanza (room history) have their <delay/>.
--
-- If the pusher cannot accept a stanza (too large, too deep), the item is sent without it: its number is acknowledged like
-- any other, and the feed continues.
--
-- The queue is in memory: it survives the component's connection and a reload of this module, and a restart of the server
-- only if it is kept on disk (disk.lib.lua). The epoch identifies the queue. A server that is stopped cleanly passes its
-- epoch and last number to the next start, so that unacknowledged items are a hole of known size. When the queue is full,
-- unsent presence, iq and copies for absent members are dropped first, oldest first, then the oldest unsent messages. Their
-- numbers are not used again, so that the component sees the hole. Items in flight are not dropped, and nothing more is sent while they
-- take more than half of the bytes.

local st = require "util.stanza";
local sorted_pairs = require "util.iterators".sorted_pairs;
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local jid_split = require "util.jid".split;
local time_now = require "util.time".now;
local timer = require "util.timer";
local uuid_generate = require "util.uuid".generate;
local user_exists = require "core.usermanager".user_exists;

local find = string.find;

local xmlns_tap = "urn:x-event-pusher:tap:1";
local xmlns_carbons = "urn:xmpp:carbons:2";
local xmlns_delay = "urn:xmpp:delay";
local xmlns_mam = "urn:xmpp:mam:2";

-- Maximum depth of elements; the pusher accepts 128.
local max_depth = 100;
-- A smaller limit of a pusher is ignored (RFC 6120 §13.12).
local least_max_item = 10000;

local host = module.host;
local component = module:get_option_string("event_pusher_tap_component", "pusher." .. host);
local max_bytes = module:get_option_number("event_pusher_tap_queue_bytes", 64 * 1024 * 1024);
local default_max_item = math.max(module:get_option_number("event_pusher_tap_max_item", 900000), least_max_item);
local window = module:get_option_number("event_pusher_tap_window", 2000);
local node = module:get_option_string("event_pusher_tap_node", "prosody");
local disk = module:get_option_boolean("event_pusher_tap_disk", false) and module:require "disk" or nil;
-- An installation may consist of this file alone; what is in the folder next to it is then left out.
local has_life, life = pcall(module.require, module, "life");
local has_members, members = pcall(module.require, module, "members");

local bare_sessions = prosody.bare_sessions;
local full_sessions = prosody.full_sessions;
local hosts = prosody.hosts;

-- State that survives a reload. `pusher` is the component's session after its resume, `instance` the id of its process, if it
-- sent one, and `want` its subscription: kinds of stanzas and of reports, and the directions `in` and `out` of stanzas. Until
-- the first resume messages in both directions are kept, which is the default subscription.
local pusher, instance;
local wanted, want;
local max_item = default_max_item;

local function set_wanted(words)
	wanted, want = words:gsub("%s+", " "), {};
	for word in words:gmatch("%S+") do want[word] = true; end
	if not (want["in"] or want.out) then want["in"], want.out = true, true; end
end

set_wanted("message");

local queue = {
	epoch = uuid_generate();
	items = {}; -- XML by sequence number; dropped and acknowledged numbers are empty
	minor = {}; -- the ones that are presence, iq, or copies for absent members
	unsent_minors = { first = 1, last = 0 }; -- their sequence numbers, oldest first
	seq = 0; -- the number of the last item
	acked = 0; -- items up to here are acknowledged or dropped
	sent = 0; -- items up to here are sent, acknowledged or dropped
	count = 0; bytes = 0;
	in_flight = 0; bytes_in_flight = 0;
	-- In this epoch. Repeated items count again.
	sent_items = 0; acknowledged = 0; dropped = 0;
	taken = 0; -- the last number that a pusher has acknowledged since this module was loaded
	recovered_until = nil; -- the last number on disk, until the first resume has confirmed it
};

--- The queue

local function add_unsent_minor(seq)
	local minors = queue.unsent_minors;
	minors.last = minors.last + 1;
	minors[minors.last] = seq;
end

local function take_unsent_minor()
	local minors = queue.unsent_minors;
	local seq = minors[minors.first];
	if seq then
		minors[minors.first] = nil;
		minors.first = minors.first + 1;
	end
	return seq;
end

local function put(seq, item, is_minor)
	queue.items[seq] = item;
	queue.count, queue.bytes = queue.count + 1, queue.bytes + #item;
	if is_minor then
		queue.minor[seq] = true;
		add_unsent_minor(seq);
	end
end

local function next_unsent()
	for seq = queue.sent + 1, queue.seq do
		if queue.items[seq] then return seq; end
		queue.sent = seq; -- skips a hole
	end
end

local function remove(seq)
	local item = queue.items[seq];
	if not item then return; end
	queue.items[seq], queue.minor[seq] = nil, nil;
	queue.count, queue.bytes = queue.count - 1, queue.bytes - #item;
	if seq <= queue.sent then
		queue.in_flight, queue.bytes_in_flight = queue.in_flight - 1, queue.bytes_in_flight - #item;
	end
	if disk then disk.forget(seq); end
end

local function make_room()
	while queue.bytes > max_bytes do
		local seq = take_unsent_minor() or next_unsent();
		if not seq then return; end
		remove(seq);
		queue.dropped = queue.dropped + 1;
		if disk then disk.dropped(seq); end
	end
end

-- Marks all unacknowledged items as unsent.
local function rewind()
	queue.sent, queue.in_flight, queue.bytes_in_flight = queue.acked, 0, 0;
	queue.unsent_minors = { first = 1, last = 0 };
	for seq = queue.acked + 1, queue.seq do
		if queue.minor[seq] then add_unsent_minor(seq); end
	end
end

local function acknowledge(seq)
	if seq == queue.acked then return; end
	for done = queue.acked + 1, seq do
		if queue.items[done] then queue.acknowledged = queue.acknowledged + 1; end
		remove(done);
	end
	queue.acked = math.max(queue.acked, seq);
	queue.sent = math.max(queue.sent, queue.acked);
	if disk then disk.acked(queue.acked); end
end

local function attached()
	if pusher and pusher.destroyed then
		pusher = nil;
		rewind();
	end
	return pusher;
end

-- Replaces an item that is larger than the pusher accepts: the attributes, and the size.
local function without_stanza(item)
	local opened, stamped = item:match("^(.- dir='%l+').- stamp='([^']*)'");
	return string.format("%s stamp='%s' reason='too-large' bytes='%d'/></message>", opened, stamped, #item);
end

local function fitting(seq)
	local item = queue.items[seq];
	if #item <= max_item then return item; end
	local short = without_stanza(item);
	queue.items[seq], queue.bytes = short, queue.bytes - #item + #short;
	return short;
end

local function take_unsent()
	if queue.in_flight >= window or queue.bytes_in_flight >= max_bytes / 2 then return; end
	local seq = next_unsent();
	if not seq then return; end
	local item = fitting(seq); -- it may have been queued for a pusher with a larger limit
	if queue.minor[seq] then take_unsent_minor(); end
	queue.sent, queue.in_flight, queue.bytes_in_flight = seq, queue.in_flight + 1, queue.bytes_in_flight + #item;
	queue.sent_items = queue.sent_items + 1;
	return item;
end

-- The number of events of the host since an item began to wait for the end of the event loop's turn; nil if none waits.
local events_since;
local turn_end; -- the timer, while it is set

-- All in one write: each write costs Prosody a timer and two system calls.
local function flush()
	events_since = nil;
	if not attached() then return; end
	local items = {};
	for item in take_unsent do items[#items + 1] = item; end
	if items[1] then pusher.send(items[2] and table.concat(items) or items[1]); end
end

local function at_turn_end()
	turn_end = nil;
	if events_since then flush(); end
end

local function flush_at_turn_end()
	if not attached() then return; end
	events_since = events_since or 0;
	turn_end = turn_end or timer.add_task(0, at_turn_end);
end

-- A turn ends when no connection is ready. Under constant load that may take long: after this number of events an item waits
-- no longer.
local most_events = 50;

local function count_event()
	if not events_since then return; end
	events_since = events_since + 1;
	if events_since >= most_events then flush(); end
end

--- From stanza to item

local stamp_second, second_text, stamp_ms, stamp_text;
local function stamp()
	local ms = math.floor(time_now() * 1000);
	if ms == stamp_ms then return stamp_text; end
	local second = math.floor(ms / 1000);
	if second ~= stamp_second then
		stamp_second, second_text = second, os.date("!%Y-%m-%dT%H:%M:%S", second);
	end
	stamp_ms, stamp_text = ms, string.format("%s.%03dZ", second_text, ms % 1000);
	return stamp_text;
end

-- An item is joined once, from pieces in a table that is used again. Prosody spends about half of its time collecting
-- garbage, so the memory that an item takes costs more than the work on it, and `tostring` takes 1 KB for a short message.
local pieces, used = {}, 0;

local function add(piece)
	used = used + 1;
	pieces[used] = piece;
end

local function joined()
	local text = table.concat(pieces, "", 1, used);
	if #text > 10000 then pieces = {}; end -- the pieces of a large stanza would stay in memory
	return text;
end

-- Another module may have set an attribute to a number, which has no methods.
local function escaped(text)
	return find(text, "['&<>\"]") and st.xml_escape(text) or text;
end

local function add_attribute(opened, value)
	local at = used;
	pieces[at + 1], pieces[at + 2], pieces[at + 3] = opened, escaped(value), "'";
	used = at + 3;
end

-- Of the frequent attributes; others are made each time.
local opened = {};
for name in ("from id to type xmlns xml:lang"):gmatch("%S+") do opened[name] = " " .. name .. "='"; end

-- util.stanza calls an attribute of a namespace "NAMESPACE\1NAME".
local function add_attributes(attr, parent_ns, replaced)
	local prefixes = 0;
	for name, value in pairs(attr) do
		if replaced[name] or name == "xmlns" and value == parent_ns then
			-- left out
		elseif opened[name] then
			add_attribute(opened[name], value);
		elseif name:find("\1", 1, true) then
			local ns, unprefixed = name:match("^([^\1]*)\1(.*)$");
			prefixes = prefixes + 1;
			add_attribute(" xmlns:ns" .. prefixes .. "='", ns);
			add_attribute(" ns" .. prefixes .. ":" .. unprefixed .. "='", value);
		else
			add_attribute(" " .. name .. "='", value);
		end
	end
end

local none = {};

-- Adds what follows the attributes, and returns whether it is at most `levels` deep.
local function add_content(element, ns, levels)
	if not element[1] then
		add("/>");
		return true;
	end
	add(">");
	for _, child in ipairs(element) do
		if type(child) == "string" then
			add(escaped(child));
		else
			add("<");
			add(child.name);
			add_attributes(child.attr, ns, none);
			if levels == 0 or not add_content(child, child.attr.xmlns, levels - 1) then return false; end
		end
	end
	add("</");
	add(element.name);
	add(">");
	return true;
end

local of_client = { xmlns = true, to = true };

local function add_stanza(stanza, to)
	add("<");
	add(stanza.name);
	add(" xmlns='jabber:client'");
	if to then add_attribute(opened.to, to); end
	add_attributes(stanza.attr, nil, of_client);
	return add_content(stanza, "jabber:client", max_depth - 1);
end

local before_item = "<message from='" .. st.xml_escape(host) .. "' to='" .. st.xml_escape(component) .. "' id='";
local before_seq = "'><tap xmlns='" .. xmlns_tap .. "' seq='";
local before_stanza = "'/><forwarded xmlns='urn:xmpp:forward:0'>";
local after_stanza = "</forwarded></message>";

local function to_item(seq, stanza, to, dir, marks)
	pieces[1], pieces[2], pieces[3], pieces[4] = before_item, seq, before_seq, seq;
	pieces[5], pieces[6], pieces[7], pieces[8] = "' epoch='", queue.epoch, "' dir='", dir;
	pieces[9], pieces[10], pieces[11], pieces[12], pieces[13] = "'", marks, " stamp='", stamp(), before_stanza;
	used = 13;
	if not add_stanza(stanza, to) then
		pieces[10], used = "", 12;
		add("' reason='too-deep'/></message>");
		return joined();
	end
	add(after_stanza);
	local item = joined();
	return #item > max_item and without_stanza(item) or item;
end

local function append(item, is_minor)
	queue.seq = queue.seq + 1;
	put(queue.seq, item, is_minor);
	if disk then disk.add(queue.seq); end
	if queue.bytes > max_bytes then
		flush();
		make_room();
	else
		flush_at_turn_end();
	end
end

local function enqueue(stanza, to, dir, marks)
	local item = to_item(string.format("%d", queue.seq + 1), stanza, to, dir, marks);
	append(item, stanza.name ~= "message" and dir ~= "event");
end

-- Returns a function that queues a copy of a message for a user to whom it is not routed. The copies differ in a few words. A full
-- queue drops them before messages: one message may have hundreds, and any user can make others members of a room.
local function copies_of(stanza, marks)
	used = 0;
	add_attributes(stanza.attr, nil, of_client);
	local is_whole = add_content(stanza, "jabber:client", max_depth - 1);
	local behind_to, stamped = is_whole and joined(), stamp();
	return function (to, clients)
		local seq = string.format("%d", queue.seq + 1);
		local head = before_item .. seq .. before_seq .. seq .. "' epoch='" .. queue.epoch .. "' dir='out' occupant='false'";
		if not is_whole then return append(head .. " stamp='" .. stamped .. "' reason='too-deep'/></message>", true); end
		local item = head .. " sessions='" .. clients .. "'" .. marks .. " stamp='" .. stamped .. before_stanza
			.. "<message xmlns='jabber:client' to='" .. escaped(to) .. "'" .. behind_to .. after_stanza;
		append(#item > max_item and without_stanza(item) or item, true);
	end;
end

local function is_of_pusher(jid)
	return jid and jid:find(component, 1, true) and jid_host(jid) == component;
end

local function concerns_pusher(stanza)
	return is_of_pusher(stanza.attr.from) or is_of_pusher(stanza.attr.to);
end

--- Stanzas sent by clients

-- Prosody posts a client's broadcast again for each contact, as the same table with another `to`. Only the first one is from
-- the client.
local broadcasts = setmetatable({}, { __mode = "k" });

local function is_fanned_out(stanza, session)
	if not stanza.attr.to then
		broadcasts[stanza] = true;
		return false;
	end
	return broadcasts[stanza] or stanza == session.presence;
end

local function from_client(event)
	local origin, stanza = event.origin, event.stanza;
	if origin.type ~= "c2s" or stanza.attr.from ~= origin.full_jid then return; end
	if stanza.name == "presence" and (stanza.attr.type == "probe" or is_fanned_out(stanza, origin)) then return; end
	if not (want["in"] and want[stanza.name]) or concerns_pusher(stanza) then return; end

	-- Prosody removes a `to` that is the sender's own account; only for presence does a missing `to` mean something else.
	local to = stanza.attr.to or stanza.name ~= "presence" and jid_bare(origin.full_jid) or nil;
	enqueue(stanza, to, "in", " session='" .. escaped(origin.full_jid) .. "'");
end

--- Stanzas routed to users

-- The available clients of an account: those with a priority that receives messages, or all.
local function count_clients(bare, of_any_priority, except)
	local user = bare_sessions[bare];
	local clients = 0;
	for _, session in pairs(user and user.sessions or {}) do
		local gets_it = session.presence and (of_any_priority or (session.priority or 0) >= 0);
		if gets_it and not session.hibernating and session ~= except then clients = clients + 1; end
	end
	return clients;
end

local not_rerouted = { error = true, groupchat = true, headline = true };

-- The number of clients to which mod_message and mod_presence deliver the stanza. For an iq to an account, which the server
-- answers: the available clients.
local function count_receivers(stanza, to, bare)
	local is_message, type = stanza.name == "message", stanza.attr.type;
	if to ~= bare then
		local session = full_sessions[to];
		if session then return session.hibernating and 0 or 1; end
		if not is_message or not_rerouted[type] then return 0; end -- a chat message is routed to the account
	elseif is_message and (type == "error" or type == "groupchat") then
		return 0;
	end
	return count_clients(bare, not is_message);
end

local function exists(bare)
	return bare_sessions[bare] or user_exists((jid_split(bare)), host);
end

local function is_history(stanza, room_jid)
	for delay in stanza:childtags("delay", xmlns_delay) do
		if delay.attr.from == room_jid then return true; end -- the room removes it from stanzas of occupants
	end
	return false;
end

-- The account behind the nickname, or nil. In the history and the subject of a room, the nickname may belong to another
-- account by now.
local function room_speaker(stanza)
	local from = stanza.attr.from;
	local served = from and hosts[jid_host(from)];
	local rooms = served and served.modules and served.modules.muc;
	if not rooms or is_history(stanza, jid_bare(from)) then return; end
	if stanza:get_child("subject") and not (stanza:get_child("body") or stanza:get_child("thread")) then return; end

	local room = rooms.get_room_from_jid(jid_bare(from));
	local occupant = room and room:get_occupant_by_nick(from);
	return occupant and occupant.bare_jid;
end

-- Elements that servers and clients add to the content of a message.
local notes = { [xmlns_delay] = true, ["urn:xmpp:hints"] = true, ["urn:xmpp:sid:0"] = true };

-- Any client can send the element of a result to hide a message, so it counts only if there is no other content.
local function is_archive_result(stanza)
	for _, child in ipairs(stanza.tags) do
		if not (child.name == "result" and child.attr.xmlns == xmlns_mam) and not notes[child.attr.xmlns] then return false; end
	end
	return stanza:get_child("result", xmlns_mam) ~= nil;
end

local function sender_mark(stanza)
	local speaker = stanza.name == "message" and stanza.attr.type == "groupchat" and room_speaker(stanza);
	return speaker and " sender='" .. st.xml_escape(speaker) .. "'" or "";
end

local function to_user(event)
	local stanza = event.stanza;
	if not (want.out and want[stanza.name]) or concerns_pusher(stanza) then return; end
	local to = stanza.attr.to;
	if stanza.name == "message" then
		to = to or jid_bare(stanza.attr.from);
		if is_archive_result(stanza) then return; end
		if stanza.attr.type == "error" and event.origin == hosts[host] then return; end
	elseif not to or stanza.attr.type == "probe" then
		return; -- between a client and its own account, or a request of the server
	end

	local bare = bare_sessions[to] and to or jid_bare(to);
	if not exists(bare) then return; end
	enqueue(stanza, to, "out", " sessions='" .. count_receivers(stanza, to, bare) .. "'" .. sender_mark(stanza));
end

--- Users online and offline

-- A client that is held for resumption (XEP-0198) is still online.
local function has_another_client(session)
	local user = bare_sessions[jid_bare(session.full_jid)];
	for _, other in pairs(user and user.sessions or {}) do
		if other ~= session and other.presence then return true; end
	end
	return false;
end

local function report_status(status, session, presence)
	if not want.status or has_another_client(session) then return; end
	enqueue(presence, nil, "status", " status='" .. status .. "' session='" .. st.xml_escape(session.full_jid) .. "'");
end

local function became_available(event)
	report_status("online", event.origin, event.stanza);
end

-- When a stream ends, mod_presence sends the unavailable presence.
local function became_unavailable(event)
	local origin, stanza = event.origin, event.stanza;
	if origin.type ~= "c2s" or stanza.attr.to or stanza.attr.type ~= "unavailable" or not origin.presence then return; end
	report_status("offline", origin, stanza);
end

--- Messages written to a client and not acknowledged

-- Messages that arrived while mod_smacks held the client for resumption were not written; their `out` did not count it.
local unwritten = setmetatable({}, { __mode = "k" });

local function kept_for_later(event)
	unwritten[event.stanza] = true;
end

local function written_after_all(event)
	for _, stanza in pairs(event.queue) do unwritten[stanza] = nil; end
end

local function is_own_copy(stanza, account)
	if is_archive_result(stanza) then return true; end
	local carbon = stanza:get_child("received", xmlns_carbons) or stanza:get_child("sent", xmlns_carbons);
	return carbon ~= nil and stanza.attr.from == account;
end

-- mod_smacks has added the time at which it sent the message.
local function as_it_was(stanza, account)
	return st.clone(stanza):maptags(function (child)
		if child.name == "delay" and child.attr.xmlns == xmlns_delay and child.attr.from == account then return nil; end
		return child;
	end);
end

local function was_not_acknowledged(event)
	local session, stanza = event.session, event.stanza;
	if not want.unack or not session.username or stanza.name ~= "message" or stanza.attr.type == "error" then return; end
	local account = jid_bare(session.full_jid);
	if unwritten[stanza] or concerns_pusher(stanza) or is_own_copy(stanza, account) then return; end
	enqueue(as_it_was(stanza, account), stanza.attr.to or account, "unack", " session='"
		.. st.xml_escape(session.full_jid) .. "' sessions='" .. count_clients(account, false, session) .. "'");
end

--- Hooks

-- An error in a hook would drop the client's stanza. Logged once per kind.
local failed = 0;

local function guarded(what, tap)
	local told = false;
	local function tap_and_count(event)
		tap(event);
		count_event();
	end
	return function (event)
		local ok, problem = pcall(tap_and_count, event);
		if ok then return; end
		failed = failed + 1;
		if not told then
			told = true;
			module:log("error", "Could not tap a stanza (%s; further ones are not reported): %s", what, problem);
		end
	end
end

-- Messages: mod_blocklist 100, mod_mam 0 adds the archive id, mod_carbons -0.5; then this module; mod_mam removes the
-- archive id of the sender at -1, mod_message delivers at -1. Presence and iq: mod_blocklist 100, handled at 0.
for _, target in ipairs { "bare", "full", "host" } do
	module:hook("pre-message/" .. target, guarded("message in", from_client), -0.75);
	module:hook("pre-presence/" .. target, guarded("presence in", from_client), 0.5);
	module:hook("pre-iq/" .. target, guarded("iq in", from_client), 0.5);
end
for _, target in ipairs { "bare", "full" } do
	module:hook("message/" .. target, guarded("message out", to_user), -0.75);
	module:hook("presence/" .. target, guarded("presence out", to_user), 0.5);
	module:hook("iq/" .. target, guarded("iq out", to_user), 0.5);
end

-- mod_presence handles a broadcast at 0; mod_smacks handles lost stanzas at 0.
module:hook("presence/initial", guarded("status", became_available));
module:hook("presence/bare", guarded("status", became_unavailable), 0.5);
module:hook("smacks-hibernation-stanza-queued", guarded("unack", kept_for_later));
module:hook("smacks-hibernation-end", guarded("unack", written_after_all));
module:hook("delivery/failure", guarded("unack", was_not_acknowledged), 0.5);

if has_life then
	life.begin {
		want = function (word) return want[word]; end;
		guarded = guarded;
		taps = function () return module:shared("/*/event_pusher_tap/taps"); end;
		report = function (event, presence, cause)
			if concerns_pusher(presence) then return; end
			local mark = cause and " sender='" .. st.xml_escape(cause) .. "'" or "";
			enqueue(presence, presence.attr.to, "event", " event='" .. event .. "'" .. mark);
		end;
	};
end

if has_members then
	members.begin {
		want = function (word) return want[word]; end;
		guarded = guarded, exists = exists, count_clients = count_clients;
		copies_of = function (stanza) return copies_of(stanza, sender_mark(stanza)); end;
	};
end

local function left_out()
	return has_members and members.left_out() or 0;
end

--- Over a restart of the server

-- Numbers that may have been used twice need a new epoch.
local function begin_new_epoch()
	local former = "epoch='" .. queue.epoch .. "'";
	queue.epoch, queue.taken = uuid_generate(), 0;
	for seq, item in pairs(queue.items) do
		local at = item:find(former, 1, true); -- precedes any that is in the stanza
		queue.items[seq] = item:sub(1, at - 1) .. "epoch='" .. queue.epoch .. "'" .. item:sub(at + #former);
	end
end

local function keep_on_disk()
	if not disk then return; end
	disk.begin {
		queue = queue, max_bytes = max_bytes;
		wanted = function () return wanted; end;
		text_of = function (seq) return queue.items[seq]:sub(#before_item + 1); end;
	};
end

local function recover()
	local kept = disk.read();
	if not kept then return false; end
	queue.epoch, queue.acked, queue.seq, queue.dropped = kept.epoch, kept.acked, kept.seq, kept.dropped;
	queue.recovered_until = kept.seq;
	for seq = kept.acked + 1, kept.seq do
		if kept.items[seq] then put(seq, before_item .. kept.items[seq], kept.minor[seq]); end
	end
	rewind();
	set_wanted(kept.want);
	if not kept.complete then begin_new_epoch(); end
	module:log("info", "%d items of the event pusher's queue were on disk%s", queue.count,
		kept.complete and "" or "; more may have been lost, so a new epoch begins");
	return true;
end

-- State that a cleanly stopped server passes to its next start: because the numbering continues, the pusher finds exactly the
-- unacknowledged items missing.
local numbers = module:open_store("event_pusher_tap");

local function leave_numbers()
	numbers:set(nil, { epoch = queue.epoch, seq = queue.seq, dropped = queue.dropped + queue.count });
end

-- Removed before the first number is used; after a crash the numbers would be used twice.
local function take_numbers()
	local left = numbers:get(nil);
	local is_whole = left and type(left.epoch) == "string" and type(left.seq) == "number" and type(left.dropped) == "number";
	if not numbers:set(nil, nil) or not is_whole then return; end
	queue.epoch, queue.seq, queue.dropped = left.epoch, left.seq, left.dropped;
	queue.acked, queue.sent, queue.recovered_until = left.seq, left.seq, left.seq;
end

-- The pusher has received more than the disk contains: the disk was restored from a backup.
local function doubt_numbers(attr)
	local until_then = queue.recovered_until;
	queue.recovered_until = nil;
	if not until_then or attr.epoch ~= queue.epoch or (tonumber(attr.h) or 0) <= until_then then return; end
	module:log("warn", "The event pusher has come further than the queue that was on disk, so a new epoch begins");
	begin_new_epoch();
	keep_on_disk();
end

--- Requests of the component

-- Users and remote servers can send the same stanza; only the session of the component is accepted.
local function is_pusher(origin)
	return origin.type == "component" and origin.host == component and origin.conn ~= nil;
end

local function refuse(event)
	event.origin.send(st.error_reply(event.stanza, "auth", "forbidden"));
	return true;
end

-- The last number that the component has received, or nil for another epoch or a number that does not exist.
local function acknowledged_until(attr)
	local h = tonumber(attr.h);
	if attr.epoch == queue.epoch and h and h % 1 == 0 and h >= queue.acked and h <= queue.seq then return h; end
end

-- Two pushers must not take the feed from each other in turns. A pusher without an id is accepted, and so is the same process
-- on a new connection, whose old connection may look alive for long.
local function has_to_wait(origin, newcomer)
	return attached() and pusher ~= origin and newcomer and newcomer ~= instance;
end

-- Without its file, a pusher that waits has to ask again, and one that is frozen keeps the feed.
local has_standby, open_standby = pcall(module.require, module, "standby");
local frozen_after = math.max(module:get_option_number("event_pusher_tap_frozen_after", 8), 4);
local standby = has_standby and open_standby(component, frozen_after, attached) or nil;

local function refuse_for_now(event)
	event.origin.send(st.error_reply(event.stanza, "wait", "conflict", "Another pusher has the feed"));
	if standby then standby.refused(event.origin); end
	return true;
end

local function decimal(number)
	return string.format("%d", number);
end

local function fill()
	return {
		xmlns = xmlns_tap, pending = decimal(queue.count), bytes = decimal(queue.bytes), ["max-bytes"] = decimal(max_bytes);
		["left-out"] = left_out() > 0 and decimal(left_out()) or nil;
	};
end

local function report_missing()
	local missing = (want.rooms or want.accounts) and not has_life and life or want.members and not has_members and members;
	if missing then module:log("warn", "Items that the pusher requests need the folder mod_event_pusher_tap: %s", missing); end
end

local function handle_resume(event)
	if not is_pusher(event.origin) then return refuse(event); end
	local attr = event.stanza.tags[1].attr;
	if has_to_wait(event.origin, attr.pusher) then
		return refuse_for_now(event);
	end
	if standby and attached() and pusher ~= event.origin then standby.refused(pusher); end
	pusher, instance = event.origin, attr.pusher;
	if attr.probe == "true" then pusher.event_pusher_answers = true; end
	set_wanted((attr.want or "message") .. (attr.dir and " " .. attr.dir or ""));
	max_item = math.max(tonumber((attr.max or ""):match("^%d+$")) or default_max_item, least_max_item);
	if disk then disk.wanted(wanted); end
	report_missing();
	doubt_numbers(attr);
	acknowledge(acknowledged_until(attr) or queue.acked);
	rewind();

	local resumed = fill();
	resumed.epoch, resumed.node, resumed.taken = queue.epoch, node, decimal(queue.taken);
	resumed["from-seq"], resumed.dropped = decimal(next_unsent() or queue.seq + 1), decimal(queue.dropped);
	pusher.send(st.reply(event.stanza):tag("resumed", resumed));
	flush();
	return true;
end

local function handle_ack(event)
	if not is_pusher(event.origin) then return refuse(event); end
	if not attached() then
		-- Reloaded since that resume, or the process that took the feed over has disconnected: an error makes the component resume.
		event.origin.send(st.error_reply(event.stanza, "cancel", "item-not-found"));
		return true;
	end
	if event.origin ~= pusher then return instance and refuse_for_now(event) or true; end
	local attr = event.stanza.tags[1].attr;
	local h = acknowledged_until(attr);
	if h and h <= queue.sent then
		queue.taken = h;
		acknowledge(h);
		flush();
	end
	if attr.report == "queue" then pusher.send(st.reply(event.stanza):tag("queue", fill())); end
	return true;
end

module:hook("iq-set/host/" .. xmlns_tap .. ":resume", handle_resume);
module:hook("iq-set/host/" .. xmlns_tap .. ":ack", handle_ack);

--- Counters for the operator

-- In display order.
local counters = {
	{ "gauge", "attached", "Whether a pusher has the feed", function () return attached() and 1 or 0; end };
	{ "gauge", "queued", "Items that wait to be acknowledged", function () return queue.count; end };
	{ "gauge", "queued_bytes", "What they take", function () return queue.bytes; end };
	{ "gauge", "in_flight", "Those of them that were sent", function () return queue.in_flight; end };
	{ "counter", "sent", "Items sent, and sent again", function () return queue.sent_items; end };
	{ "counter", "acknowledged", "Items that the pusher has", function () return queue.acknowledged; end };
	{ "counter", "dropped", "Items given up because the queue was full", function () return queue.dropped; end };
	{ "counter", "failed", "Stanzas that could not be tapped", function () return failed; end };
	{ "counter", "members_left_out", "Absent members beyond event_pusher_tap_max_members", left_out };
};

for _, counter in ipairs(counters) do
	local kind, name, description, read = counter[1], counter[2], counter[3], counter[4];
	local metric = module:metric(kind, name, "", description, {}):with_labels();
	module:hook_global("stats-update", function () metric:set(read()); end);
end

-- `prosodyctl shell event_pusher_tap info HOST`, or without a host: one line for each tap.
local shell = module:shared("/*/admin_shell/env");
local taps = module:shared("/*/event_pusher_tap/taps");

taps[host] = function ()
	local words = {};
	for _, counter in ipairs(counters) do table.insert(words, string.format("%s %d", counter[2], counter[4]())); end
	return host .. ": " .. table.concat(words, ", ") .. ", epoch " .. queue.epoch;
end

shell.event_pusher_tap = {};
function shell.event_pusher_tap:info(only)
	local shown = 0;
	for name, describe in sorted_pairs(taps) do
		if not only or only == name then
			self.session.print(describe());
			shown = shown + 1;
		end
	end
	return shown > 0, shown > 0 and shown .. " tapped" or "no tap is loaded there";
end

--- Start, end and reload

function module.load()
	if module.reloading then return; end
	if not (disk and recover()) then take_numbers(); end
	make_room();
	keep_on_disk();
end

-- What was written before is still sent: Prosody closes its connections after this event.
module:hook_global("server-stopped", function ()
	if has_members then members.stop(); end
	if events_since then flush(); end
	if disk then disk.close(); else leave_numbers(); end
end);

function module.unload()
	taps[host] = nil;
	if has_members then members.stop(); end
	if turn_end then timer.stop(turn_end); end
	if standby then standby.close(); end
	if events_since then flush(); end
	if disk then disk.close(); end
end

function module.save()
	return {
		queue = queue, pusher = pusher, instance = instance, wanted = wanted, want = want, max_item = max_item, failed = failed;
	};
end

function module.restore(saved)
	if not saved.queue then return; end
	for field, value in pairs(saved.queue) do queue[field] = value; end -- an older version saved fewer fields
	pusher, instance, failed = saved.pusher, saved.instance, saved.failed or 0;
	max_item = saved.max_item or default_max_item;
	set_wanted(saved.wanted or "message presence iq"); -- an older version saved only a table
	make_room();
	keep_on_disk();
	flush();
end
