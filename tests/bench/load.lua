-- Sends the requests of a file, each once. The file: 8 digits of length, the raw request, and so on.
local requests = {}
local threads = {}
sent = 0 -- global, so that done() can read it

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local size = file:read(8)
    if not size then break end
    requests[#requests + 1] = file:read(tonumber(size))
  end
  file:close()
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"answers": %d, "microseconds": %d, "p50": %.1f, "p99": %.1f, "not_2xx": %d, "broken": %d, "sent": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, threads[1]:get("sent")))
end
