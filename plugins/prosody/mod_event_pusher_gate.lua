-- mod_event_pusher_gate: asks xmpp-event-pusher whether a client's message is delivered, and with which text.
--
-- Loaded on a VirtualHost. A message with a body that a client sends is held while the module asks the pusher over HTTP.
-- Then it is delivered unchanged or with another text, or it is refused, and only its sender receives an error. Only the
-- sender waits, and its messages keep their order. The protocol is described in docs/guides/gate.md of the pusher.
-- Tested with Prosody 0.12.
--
-- Options (set them on the VirtualHost, or globally for all):
--   event_pusher_gate_url         where the pusher listens; default "http://127.0.0.1:9465/gate"
--   event_pusher_gate_token       the token of its [gate] section; default none
--   event_pusher_gate_timeout     maximum time a message waits, in seconds; default 2
--   event_pusher_gate_on_failure  applies without a decision: "continue" (default) or "refuse"

local async = require "util.async";
local st = require "util.stanza";
local timer = require "util.timer";
local time_now = require "util.time".monotonic or require "util.time".now;
local url_parse = require "socket.url".parse;
local basic_resolver = require "net.resolvers.basic";
local connect = require "net.connect".connect;
local new_parser = require "net.http.parser".new;

local xmlns_xhtml = "http://jabber.org/protocol/xhtml-im";

local host = module.host;
local url = module:get_option_string("event_pusher_gate_url", "http://127.0.0.1:9465/gate");
local token = module:get_option_string("event_pusher_gate_token");
local timeout = module:get_option_number("event_pusher_gate_timeout", 2);
local on_failure = module:get_option_string("event_pusher_gate_on_failure", "continue");

local target = url_parse(url) or {};
if target.scheme ~= "http" or not target.host then
	error("event_pusher_gate_url must be an http:// address, not " .. url, 0);
elseif on_failure ~= "continue" and on_failure ~= "refuse" then
	error("event_pusher_gate_on_failure must be \"continue\" or \"refuse\", not " .. on_failure, 0);
end
local port = tonumber(target.port or 80);

--- Connections
--
-- net.http of Prosody 0.12 opens a connection for each request. Here connections are kept and reused; there are as many as
-- messages that wait. A connection that was idle for long is not reused, because the pusher may be closing it. If a reused
-- connection closes before a byte of a response, the request is sent once more.

local max_idle = 32;
local max_idle_time = 30;

local idle = {}; -- free links, the most recently used last
local links = setmetatable({}, { __mode = "k" }); -- by connection; `call` of a link is its current request
local listener = {};

local request_head = "POST " .. (target.path or "/") .. " HTTP/1.1\r\nhost: " .. target.authority:gsub("^.*@", "") .. "\r\n"
	.. (token and "authorization: Bearer " .. token .. "\r\n" or "")
	.. "content-type: application/xml; charset=utf-8\r\nevent-pusher-host: " .. host .. "\r\n";

-- Ends a call with a response, or with the reason why there is none. Further ends of the same call have no effect.
local function finish(call, answer, problem)
	if call.over then return; end
	call.over, call.answer, call.problem = true, answer, problem;
	timer.stop(call.timer);
	call.done();
end

local function transmit(link, call)
	link.call, call.link = call, link;
	link.conn:write(call.request);
end

local function open_link(call)
	connect(basic_resolver.new(target.host, port, "tcp"), listener, {}, call);
end

local function take_idle()
	while #idle > 0 do
		local link = table.remove(idle);
		if time_now() - link.idle_since < max_idle_time then return link; end
		link.conn:close();
	end
end

local function release(link)
	link.call, link.idle_since, link.used, link.heard = nil, time_now(), true, false;
	table.insert(idle, link);
	if #idle > max_idle then table.remove(idle, 1).conn:close(); end
end

local function answered(link, response)
	if response.partial then return; end -- the body is not complete
	local call = link.call;
	link.call = nil;
	if response.headers.connection ~= "close" and call then
		release(link);
	else
		link.conn:close();
	end
	if call then finish(call, response); end
end

function listener.onattach(conn, call)
	local link = { conn = conn, call = call, used = false, heard = false };
	links[conn] = link;
	link.parser = new_parser(function (response) answered(link, response); end, function () conn:close(); end, "client");
end

function listener.onconnect(conn)
	local link = links[conn];
	if link.call.over then
		release(link); -- the message has timed out
	else
		transmit(link, link.call);
	end
end

function listener.onincoming(conn, data)
	local link = links[conn];
	link.heard = true;
	link.parser:feed(data);
end

function listener.ondisconnect(conn, problem)
	local link = links[conn];
	if not link then return; end
	links[conn] = nil;
	for i, free in ipairs(idle) do
		if free == link then table.remove(idle, i); break; end
	end
	local call = link.call;
	if not call or call.over then return; end
	if link.used and not link.heard then
		open_link(call);
	else
		finish(call, nil, "the connection broke: " .. (problem or "closed"));
	end
end

function listener.onfail(call, problem)
	finish(call, nil, "no connection: " .. tostring(problem));
end

function module.unload()
	for _, link in ipairs(idle) do link.conn:close(); end
end

--- Requests

local function serialise(stanza)
	local attr = stanza.attr;
	local xmlns = attr.xmlns;
	attr.xmlns = "jabber:client";
	local ok, xml = pcall(tostring, stanza);
	attr.xmlns = xmlns;
	if not ok then error(xml, 0); end
	return xml;
end

-- `done` is called once, at the end.
local function begin_call(origin, stanza, done)
	local xml = serialise(stanza);
	local call = { done = done, over = false };
	call.request = request_head .. "event-pusher-session: " .. origin.full_jid .. "\r\ncontent-length: " .. #xml .. "\r\n\r\n" .. xml;
	call.timer = timer.add_task(timeout, function ()
		finish(call, nil, "no answer within " .. timeout .. " s");
		if call.link then call.link.conn:close(); end -- its response would be taken for that of the next request
	end);
	local link = take_idle();
	if link then transmit(link, call); else open_link(call); end
	return call;
end

-- Logs once when failures begin and once when they end, because every message of a user may be such a failure.
local failing = false;

local function note_failure(problem)
	if failing then return; end
	failing = true;
	module:log("error", "No decision about messages (%s). Until the next decision, %s; further failures are not reported", problem,
		on_failure == "continue" and "messages are delivered" or "messages are refused");
end

local function note_success()
	if not failing then return; end
	failing = false;
	module:log("info", "The event pusher decides about messages again");
end

-- A message that the pusher cannot read is refused with every on_failure; otherwise it would bypass the gate.
local told_unreadable = false;

local function note_unreadable(answer)
	if told_unreadable then return; end
	told_unreadable = true;
	module:log("warn", "The pusher cannot read a message, which is refused (%d: %s); further ones are not reported", answer.code,
		tostring(answer.body):sub(1, 100));
end

--- The decision

local function refuse(origin, stanza, ...)
	origin.send(st.error_reply(stanza, ...));
	return true;
end

local function change(stanza, text)
	local body = st.stanza("body"):text(text); -- throws for a text that XML does not allow, before any change
	local has_it = false;
	stanza:maptags(function (child)
		if child.name == "html" and child.attr.xmlns == xmlns_xhtml then return nil; end
		if child.name ~= "body" or child.attr.xmlns and child.attr.xmlns ~= "jabber:client" then return child; end
		if has_it then return nil; end
		body.attr, has_it = child.attr, true;
		return body;
	end);
end

-- The pusher answers in plain text. A page of another program, such as a proxy, is not a decision.
local function is_page(answer)
	local kind = answer.headers["content-type"];
	return kind and not kind:lower():find("^text/plain");
end

-- Returns whether the message ends here. Throws if there is no decision.
local function carry_out(call, origin, stanza)
	local answer = call.answer;
	if not answer then
		error(call.problem, 0);
	elseif is_page(answer) then
		error("what answers is no pusher: it sends a page", 0);
	elseif answer.code == 403 then
		-- It is refused even if the text is unusable.
		if not pcall(refuse, origin, stanza, "cancel", "not-allowed", answer.body) then refuse(origin, stanza, "cancel", "not-allowed"); end
	elseif answer.code == 200 then
		change(stanza, answer.body);
	elseif answer.code == 400 or answer.code == 413 then
		note_unreadable(answer);
		refuse(origin, stanza, "modify", "not-acceptable", "This message cannot be checked: it is too large, or built in too odd a way.");
	elseif answer.code == 401 then
		error("the pusher answers 401: event_pusher_gate_token is not its token", 0);
	elseif answer.code ~= 204 then
		error("the pusher answers " .. answer.code .. ": " .. tostring(answer.body):sub(1, 100), 0);
	end
	return answer.code >= 400;
end

local function undecided(origin, stanza, problem)
	note_failure(problem);
	if on_failure == "continue" then return; end
	return refuse(origin, stanza, "wait", "resource-constraint", "Nobody could say whether this message may be sent.");
end

local function has_body(stanza)
	for body in stanza:childtags("body") do
		if body:get_text() ~= "" then return true; end
	end
	return false;
end

local function is_held(origin, stanza)
	return origin.type == "c2s" and stanza.attr.from == origin.full_jid and stanza.attr.type ~= "error" and has_body(stanza);
end

-- Waiting yields the coroutine of this session, so it must not happen inside a pcall (Lua 5.1). Everything else runs in one,
-- because an error in a hook would drop the client's stanza.
local function hold(event)
	local origin, stanza = event.origin, event.stanza;
	if not is_held(origin, stanza) then return; end
	if not async.ready() then return undecided(origin, stanza, "the session cannot wait"); end

	local wait, done = async.waiter();
	local ok, call = pcall(begin_call, origin, stanza, done);
	if not ok then return undecided(origin, stanza, call); end
	wait();

	local decided, ends = pcall(carry_out, call, origin, stanza);
	if not decided then return undecided(origin, stanza, ends); end
	note_success();
	if ends then return true; end
end

-- mod_blocklist 100 refuses first; mod_mam 0, mod_carbons -0.5 and mod_event_pusher_tap -0.75 see messages that have passed.
for _, kind in ipairs { "bare", "full", "host" } do
	module:hook("pre-message/" .. kind, hold, 10);
end
