-- Cancels one order a request, each once, in the sequence of the requests file, as its owner, over its own contract.
-- Run by bench/driving.py with -t1. Reads from the environment: BENCH_REQUESTS and BENCH_HEADERS (files, see
-- bench/sample.py), BENCH_FIRST (how many requests were used before), BENCH_STOP_AFTER (so many answers; 0: never) and
-- BENCH_STATUSES (1: count the answers by status; this costs wrk some microseconds an answer).
-- The last line it prints is a JSON object, so that nobody has to find numbers in wrk's text for people, where a
-- search for "50%" also finds the 76.50% of another column.

local LINE_BYTES = 38
local threads = {}
local stop_after = tonumber(os.getenv("BENCH_STOP_AFTER"))
local clock

if stop_after > 0 then
  local ffi = require("ffi") -- Lua itself has no clock finer than a second
  ffi.cdef("typedef struct { long s, ns; } bench_time; int clock_gettime(int, bench_time *);")
  local now = ffi.new("bench_time")
  clock = function()
    ffi.C.clock_gettime(1, now) -- CLOCK_MONOTONIC
    return tonumber(now.s) + tonumber(now.ns) / 1e9
  end
end

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  local here = wrk.host .. ":" .. wrk.port
  -- Globals are the thread's own, and what done() can ask a thread for.
  heads, statuses, answered = {}, {}, 0
  for authorization in io.lines(os.getenv("BENCH_HEADERS")) do
    local by_key = authorization:sub(1, 6) == "Basic "
    heads[#heads + 1] = "POST " .. (by_key and "/ordercancellation/" or "/api/connect/orders/cancel")
      .. " HTTP/1.1\r\nHost: " .. here .. "\r\nAuthorization: " .. authorization
      .. (by_key and "" or "\r\nX-API-VERSION: 7")
      .. "\r\nContent-Type: application/json\r\nContent-Length: "
  end
  before_uid = '{"order":"http://' .. here .. '/orders/'
  after_uid = '","reason":"The visitor cannot come"}'
  file = assert(io.open(os.getenv("BENCH_REQUESTS")))
  first = tonumber(os.getenv("BENCH_FIRST"))
  used = first
  file:seek("set", used * LINE_BYTES)
end

function request()
  local line = file:read(LINE_BYTES)
  if not line then -- a second round asks again for what is done: those answers fail the run
    file:seek("set", 0)
    line = file:read(LINE_BYTES)
  end
  used = used + 1
  if stop_after > 0 and used == first + 2 then -- the first one wrk only looks at
    began = clock()
  end
  local body
  if line:byte(1) == 115 then -- s, a ticket order
    body = before_uid .. line:sub(6, 37) .. after_uid
  else
    body = '{"orderId":' .. line:match("%d+", 6) .. "}"
  end
  return heads[tonumber(line:sub(2, 4)) + 1] .. #body .. "\r\n\r\n" .. body
end

if stop_after > 0 or os.getenv("BENCH_STATUSES") == "1" then
  function response(status)
    statuses[status] = (statuses[status] or 0) + 1
    answered = answered + 1
    if answered == stop_after then
      took_s = clock() - began
      wrk.thread:stop()
      io.stderr:write("enough\n") -- bench/driving.py interrupts wrk, which would wait for its time to be over
      io.stderr:flush()
    end
  end
end

function done(summary, latency, requests)
  local thread, counted = threads[1], {}
  for status, times in pairs(thread:get("statuses")) do
    counted[#counted + 1] = string.format('"%d": %d', status, times)
  end
  local errors = summary.errors
  print(string.format(
    '{"used": %d, "answers": %d, "refused": %d, "statuses": {%s}, "broken": %d, "duration_s": %.6f, '
      .. '"p50_ms": %.3f, "p99_ms": %.3f}',
    thread:get("used"), summary.requests, errors.status, table.concat(counted, ", "),
    errors.connect + errors.read + errors.write + errors.timeout,
    thread:get("took_s") or summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
