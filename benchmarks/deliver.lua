-- Posts the delivery in the file named by the first argument; each "@@" in it becomes a uuid that no other has.
local pieces, size, serial, thread = {}, 0, 0, 0
local threads = 0

function setup(t)
  threads = threads + 1
  t:set("number", threads)
end

function init(arguments)
  local text = assert(io.open(arguments[1])):read("*a")
  math.randomseed(os.time() * 100 + number)
  thread = math.random(0, 0xfff) * 16 + number
  for piece in (text .. "@@"):gmatch("(.-)@@") do
    pieces[#pieces + 1] = piece
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = arguments[2]
end

function request()
  local parts = {}
  for place = 1, #pieces - 1 do
    serial = serial + 1
    parts[#parts + 1] = pieces[place]
    -- As Okta's, of which the first digits change fastest.
    parts[#parts + 1] = string.format("%08x-%04x-11f1-%04x-%012x",
      math.random(0, 0x7fffffff), math.random(0, 0xffff), thread, serial)
  end
  parts[#parts + 1] = pieces[#pieces]
  return wrk.format(nil, nil, nil, table.concat(parts))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("\n{\"requests\": %d, \"microseconds\": %d, \"errors\": %d, \"p50\": %d, \"p99\": %d}\n",
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
