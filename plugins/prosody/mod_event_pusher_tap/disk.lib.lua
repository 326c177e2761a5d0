-- Keeps the queue of mod_event_pusher_tap on disk, so that it survives a restart of the server.
--
-- A log in segments. A record is written to the operating system when it is made, an item before it is sent to the pusher, so
-- nothing that was tapped is lost when the server is killed. The module does not wait for the disk: a crash of the machine
-- loses data that the system had not written, and read() reports that (`complete` is false).
--
-- Records, each ended by a line feed:
--   queue EPOCH BOOT ACKED SEQ DROPPED   opens a segment: the state of the queue, and the boot id of the machine
--   want WORDS                           the subscription of the pusher
--   item SEQ MINOR BYTES                 followed by the item; MINOR is 1 for items that are dropped first
--   acked SEQ                            items up to this number are acknowledged
--   dropped SEQ
--   closed                               the server was stopped cleanly
--
-- A segment is deleted when it contains no item of the queue. If many items were dropped and each segment contains a few
-- others, those are written again, so that the log takes at most about twice the maximum size of the queue.

local lfs = require "lfs";
local datamanager = require "util.datamanager";

local segment_bytes = 1024 * 1024;
local folder = datamanager.getpath("0", module.host, "event_pusher_tap", "log", true):match("^(.*)/");

local keeper; -- the source of the data: { queue, text_of(seq), wanted(), max_bytes }
local file;
local segments = {}; -- oldest first; the last one is being written
local segment_of = {}; -- by the number of an item in the queue
local last_number = 0;

local function boot()
	local source = io.open("/proc/sys/kernel/random/boot_id");
	local id = source and source:read("*l");
	if source then source:close(); end
	return id or "unknown";
end

--- Reading

local function segment_paths()
	local paths = {};
	if lfs.attributes(folder, "mode") ~= "directory" then return paths; end
	for name in lfs.dir(folder) do
		local number = tonumber(name:match("^(%d+)%.log$"));
		if number then
			table.insert(paths, folder .. "/" .. name);
			last_number = math.max(last_number, number);
		end
	end
	table.sort(paths);
	return paths;
end

local readers = {};

function readers.queue(kept, rest)
	local epoch, booted, acked, seq, dropped = rest:match("^(%S+) (%S+) (%d+) (%d+) (%d+)$");
	if not epoch then return false; end
	if epoch ~= kept.epoch then kept.items, kept.minor, kept.acked, kept.seq = {}, {}, 0, 0; end
	kept.epoch, kept.boot, kept.dropped = epoch, booted, tonumber(dropped);
	kept.acked, kept.seq = math.max(kept.acked, tonumber(acked)), math.max(kept.seq, tonumber(seq));
end

function readers.want(kept, rest)
	kept.want = rest;
end

function readers.item(kept, rest, text, at)
	local seq, minor, bytes = rest:match("^(%d+) ([01]) (%d+)$");
	local stop = seq and at + tonumber(bytes);
	if not stop or text:sub(stop, stop) ~= "\n" then return false; end
	seq = tonumber(seq);
	kept.items[seq], kept.minor[seq] = text:sub(at, stop - 1), minor == "1" or nil;
	kept.seq = math.max(kept.seq, seq);
	return stop + 1;
end

function readers.acked(kept, rest)
	kept.acked = math.max(kept.acked, tonumber(rest) or 0);
end

function readers.dropped(kept, rest)
	kept.items[tonumber(rest) or 0] = nil;
	kept.dropped = kept.dropped + 1;
end

function readers.closed()
end

-- Returns whether the segment is complete.
local function read_segment(kept, text)
	local at = 1;
	while at <= #text do
		local word, rest, behind = text:match("^(%l+) ?([^\n]*)\n()", at);
		local reader = readers[word];
		if not reader or not kept.epoch and word ~= "queue" then return false; end
		kept.closed = word == "closed";
		local next_at = reader(kept, rest, text, behind);
		if next_at == false then return false; end
		at = next_at or behind;
	end
	return true;
end

-- The stored queue, or nil: epoch, acked, seq, dropped, want, items and minor as in the queue, and whether it is complete.
local function read()
	local kept = { items = {}, minor = {}, acked = 0, seq = 0, dropped = 0, want = "message" };
	local paths, whole = segment_paths(), true;
	for index, path in ipairs(paths) do
		local source = io.open(path, "rb");
		local ok = source and read_segment(kept, source:read("*a") or "");
		if source then source:close(); end
		-- The last record may be incomplete if the server was killed; it had not been sent to the pusher.
		if not ok and index < #paths then whole = false; end
	end
	if not kept.epoch then return; end
	for seq in pairs(kept.items) do
		if seq <= kept.acked then kept.items[seq], kept.minor[seq] = nil, nil; end
	end
	kept.complete = whole and (kept.closed or kept.boot == boot() and kept.boot ~= "unknown");
	return kept;
end

--- Writing

local function remove_all()
	for _, path in ipairs(segment_paths()) do os.remove(path); end
end

-- The next start would take remaining segments for the newest numbers, so all are removed.
local function give_up(problem)
	module:log("error", "Cannot keep the event pusher's queue in %s, it is in memory only from now on: %s", folder, problem);
	if file then file:close(); end
	file, segments, segment_of = nil, {}, {};
	remove_all();
end

local function write(...)
	if not file then return; end
	local ok, problem = file:write(...);
	if ok then ok, problem = file:flush(); end
	if not ok then return give_up(problem); end
	local segment = segments[#segments];
	for index = 1, select("#", ...) do segment.bytes = segment.bytes + #(select(index, ...)); end
end

local function open_segment()
	if file then file:close(); end
	last_number = last_number + 1;
	local path = string.format("%s/%08d.log", folder, last_number);
	local problem;
	file, problem = io.open(path, "wb");
	if not file then return give_up(problem); end
	file:setvbuf("full", 65536);
	table.insert(segments, { path = path, bytes = 0, waiting = 0, seqs = {} });
	local queue = keeper.queue;
	write(string.format("queue %s %s %d %d %d\nwant %s\n", queue.epoch, boot(), queue.acked, queue.seq, queue.dropped, keeper.wanted()));
end

local function forget(seq)
	local segment = segment_of[seq];
	if segment then segment.waiting, segment_of[seq] = segment.waiting - 1, nil; end
end

local function append(seq)
	if not file then return; end
	forget(seq);
	local text = keeper.text_of(seq);
	write(string.format("item %d %d %d\n", seq, keeper.queue.minor[seq] and 1 or 0, #text), text, "\n");
	if not file then return; end
	local segment = segments[#segments];
	segment.waiting, segment_of[seq] = segment.waiting + 1, segment;
	table.insert(segment.seqs, seq);
end

local function remove_done()
	while #segments > 1 and segments[1].waiting == 0 do os.remove(table.remove(segments, 1).path); end
end

local function write_oldest_again()
	local oldest = segments[1];
	for _, seq in ipairs(oldest.seqs) do
		if segment_of[seq] == oldest then append(seq); end
	end
	remove_done();
end

local function is_too_long()
	local bytes = 0;
	for _, segment in ipairs(segments) do bytes = bytes + segment.bytes; end
	return bytes > 2 * keeper.max_bytes + segment_bytes;
end

-- Writes an item that was just numbered.
local function add(seq)
	append(seq);
	if not file or segments[#segments].bytes < segment_bytes then return; end
	open_segment();
	if file and is_too_long() then write_oldest_again(); end
end

local function acked(seq)
	write(string.format("acked %d\n", seq));
	remove_done();
end

local function dropped(seq)
	write(string.format("dropped %d\n", seq));
	remove_done();
end

local function wanted(words)
	write("want ", words, "\n");
end

-- Replaces the log with the whole queue.
local function begin(what)
	keeper, segments, segment_of = what, {}, {};
	local former = segment_paths();
	open_segment();
	local queue = keeper.queue;
	for seq = queue.acked + 1, queue.seq do
		if file and queue.items[seq] then
			append(seq);
			if file and segments[#segments].bytes >= segment_bytes then open_segment(); end
		end
	end
	for _, path in ipairs(former) do os.remove(path); end
end

local function close()
	write("closed\n");
	if file then file:close(); end
	file = nil;
end

return {
	read = read; begin = begin; close = close;
	add = add; forget = forget; acked = acked; dropped = dropped; wanted = wanted;
};
