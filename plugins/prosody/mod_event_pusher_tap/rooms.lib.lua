-- Hooks on the multi-user chats of this Prosody, for the other files of mod_event_pusher_tap, which is loaded on a virtual host.

-- `hooks`: handlers by the name of an event. Only a host with mod_muc has these events.
local function observe(hooks, priority)
	local observed = setmetatable({}, { __mode = "k" }); -- by the events of a host: a host that is activated again has others
	local function on_host(host)
		local rooms, events = module:context(host), prosody.hosts[host].events;
		if observed[events] then return; end
		observed[events] = true;
		for name, hook in pairs(hooks) do rooms:hook(name, hook, priority); end
	end
	for host in pairs(prosody.hosts) do on_host(host); end
	module:hook_global("host-activated", on_host);
end

return { observe = observe };
