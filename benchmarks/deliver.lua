-- Posts the delivery in the file named by the first argument, each time with uuids of its own for every "@@" in it.
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
  thread:set("number", #threads)
end

local pieces = {}
others = 0
local node, ticks

function init(arguments)
  local text = assert(io.open(arguments[1])):read("*a")
  for piece in (text .. "@@"):gmatch("(.-)@@") do
    pieces[#pieces + 1] = piece
  end
  math.randomseed(os.time() * 100 + number)
  node = string.format("%04x-%08x%04x", math.random(0x8000, 0xbfff), math.random(0, 0x7fffffff), number)
  ticks = math.random(0, 0xffffff) * 0x10000000
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = arguments[2]
end

-- Of version 1, as Okta's are: a clock, here of events that are a millisecond apart, and who made it.
local function uuid()
  ticks = ticks + 10000
  local low = ticks % 0x100000000
  local high = (ticks - low) / 0x100000000
  return string.format("%08x-%04x-1%03x-%s", low, high % 0x10000, high / 0x10000 % 0x1000, node)
end

function request()
  local parts = { pieces[1] }
  for place = 2, #pieces do
    parts[#parts + 1] = uuid()
    parts[#parts + 1] = pieces[place]
  end
  return wrk.format(nil, nil, nil, table.concat(parts))
end

-- Of its own accord wrk counts only what is above 399.
function response(status)
  if status ~= 204 then
    others = others + 1
  end
end

function done(summary, latency)
  local errors = summary.errors
  local others = 0
  for _, thread in ipairs(threads) do
    others = others + thread:get("others")
  end
  io.write(string.format("\n{\"requests\": %d, \"microseconds\": %d, \"errors\": %d, \"p50\": %d, \"p99\": %d}\n",
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout + others,
    latency:percentile(50), latency:percentile(99)))
end
