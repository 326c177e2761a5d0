-- Pushers that wait for the component of the tap.
--
-- Prosody accepts one connection of a component and refuses others. A pusher that can wait says so in its handshake; its
-- connection is kept, and its handshake is answered when the component is free. Until then it receives
-- <standby/> every 10 seconds, so that it can detect a dead server. Other pushers are refused, as without this file.
--
-- While one waits, the connection that has the component is checked. After half of `frozen_after` seconds of silence it is
-- probed; a pusher that reads answers, and one that has stopped reading sends stanzas without being asked. If it does
-- neither, its process is frozen, although its connection looks alive, and the connection is closed. Silence is counted in
-- checks, because the clock runs on while this server is itself suspended.
--
-- Two connections exist at once only after mod_component was reloaded. A pusher to which the tap has refused the feed
-- (`refused`) also waits, and is notified with <free/>.

local sha1 = require "util.hashes".sha1;
local st = require "util.stanza";
local time_now = require "util.time".monotonic;
local timer = require "util.timer";

local xmlns_tap = "urn:x-event-pusher:tap:1";
local handshake_event = "stanza/jabber:component:accept:handshake";

local most_waiting = 16;
local standby_interval = 10;
local checks = 8; -- within `frozen_after`
local hosts = prosody.hosts;

-- `get_pusher` returns the session that has the feed, or nil.
return function (component, frozen_after, get_pusher)
	local waiting = {}; -- { session, stanza, notified_at } of handshakes, in order
	local refused = {}; -- sessions
	local watched, reads_before, silent_checks;
	local check_timer, release_timer;

	local function component_module()
		return hosts[component] and hosts[component].modules.component;
	end

	local function holder()
		local served = component_module();
		return get_pusher() or served and served.connected and served.session or nil;
	end

	local function has_waiting()
		for place = #waiting, 1, -1 do
			if waiting[place].session.destroyed then table.remove(waiting, place); end
		end
		for session in pairs(refused) do
			if session.destroyed then refused[session] = nil; end
		end
		return waiting[1] ~= nil or next(refused) ~= nil;
	end

	-- Any byte shows that the process is not frozen.
	local function count_reads(session)
		local data = session.data;
		session.event_pusher_reads = 0;
		function session.data(...)
			session.event_pusher_reads = session.event_pusher_reads + 1;
			return data(...);
		end
	end

	local function check_silence(session)
		if not session.event_pusher_reads then count_reads(session); end
		if session ~= watched or session.event_pusher_reads ~= reads_before then
			watched, reads_before, silent_checks = session, session.event_pusher_reads, 0;
			return;
		end
		silent_checks = silent_checks + 1;
		if silent_checks == checks / 2 then
			session.send(st.iq({ type = "get", id = "probe", from = module.host, to = component }):tag("ping", { xmlns = "urn:xmpp:ping" }));
		elseif silent_checks >= checks then
			module:log("warn", "The event pusher has not answered for %g seconds: its connection is closed in favor of another", frozen_after);
			session:close { condition = "connection-timeout", text = "No answer" };
		end
	end

	local function send_standby(entry, now)
		if now - entry.notified_at < standby_interval then return; end
		entry.notified_at = now;
		entry.session.send(st.stanza("standby", { xmlns = xmlns_tap }));
	end

	-- Fires the handshakes again: the first gets the component, and the others wait on.
	local function complete_handshakes()
		local former = waiting;
		waiting = {};
		for _, entry in ipairs(former) do
			if not entry.session.destroyed then
				hosts[component].events.fire_event(handshake_event, { origin = entry.session, stanza = entry.stanza });
			end
		end
	end

	local function notify_refused()
		local former = refused;
		refused = {};
		for session in pairs(former) do
			if not session.destroyed then
				session.send(st.iq({ type = "set", id = "free", from = module.host, to = component }):tag("free", { xmlns = xmlns_tap }));
			end
		end
	end

	local function release()
		release_timer = nil;
		local served = component_module();
		if waiting[1] and served and not served.connected then complete_handshakes(); end
		if not get_pusher() then notify_refused(); end
	end

	local function check()
		check_timer = nil;
		release();
		if not has_waiting() then return; end
		local session, now = holder(), time_now();
		if session and session.event_pusher_answers then check_silence(session); end
		for _, entry in ipairs(waiting) do send_standby(entry, now); end
		check_timer = check_timer or timer.add_task(frozen_after / checks, check);
	end

	local function check_soon()
		check_timer = check_timer or timer.add_task(0, check);
	end

	local function is_authentic(session, stanza)
		local secret = module:context(component):get_option_string("component_secret");
		return secret and #stanza.tags == 0 and stanza:get_text():lower() == sha1(session.streamid .. secret, true);
	end

	local function on_handshake(event)
		local session, stanza = event.origin, event.stanza;
		if session.type ~= "component_unauthed" or stanza.attr[xmlns_tap .. "\1wait"] ~= "true" then return; end
		session.event_pusher_answers = true;
		local served = component_module();
		if not (served and served.connected) or #waiting >= most_waiting or not is_authentic(session, stanza) then return; end
		if module:context(component):get_option_string("component_conflict_resolve") == "kick_old" then return; end
		waiting[#waiting + 1] = { session = session, stanza = stanza, notified_at = -standby_interval };
		check_soon();
		return true;
	end

	-- The event precedes the end of the session.
	local function disconnected()
		release_timer = release_timer or timer.add_task(0, release);
	end

	local function observe(name)
		if name ~= component then return; end
		module:hook_object_event(hosts[component].events, handshake_event, on_handshake, 10);
		module:hook_object_event(hosts[component].events, "component-disconnected", disconnected);
	end

	if hosts[component] then observe(component); end
	module:hook_global("host-activated", observe);

	return {
		-- Notifies a session that was refused the feed when it is free, so that it need not ask again.
		refused = function (session)
			refused[session] = true;
			check_soon();
		end;
		-- Pushers that wait connect again, and may find the module reloaded.
		close = function ()
			if check_timer then timer.stop(check_timer); end
			if release_timer then timer.stop(release_timer); end
			for _, entry in ipairs(waiting) do
				entry.session:close { condition = "conflict", text = "The tap is being unloaded" };
			end
		end;
	};
end
