-- Cancels one order a request, each once, in the sequence of the ids file, with its owner's token.
-- Run by bench/driving.py with -t1; reads BENCH_IDS, BENCH_TOKENS and BENCH_FIRST (how many ids were used before).
-- The last line it prints is a JSON object, so that nobody has to find numbers in wrk's text for people, where a
-- search for "50%" also finds the 76.50% of another column.

local PATH = "/api/connect/orders/cancel"
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  local heads = {}
  for token in io.lines(os.getenv("BENCH_TOKENS")) do
    heads[#heads + 1] = "POST " .. PATH .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
      .. "\r\nAuthorization: Bearer " .. token
      .. "\r\nX-API-VERSION: 7\r\nContent-Type: application/json\r\nContent-Length: "
  end
  -- Globals are the thread's own, and what done() can ask a thread for.
  all_heads, orders, owners, statuses = heads, {}, {}, {}
  for line in io.lines(os.getenv("BENCH_IDS")) do
    local order, owner = line:match("(%d+) (%d+)")
    orders[#orders + 1] = order
    owners[#owners + 1] = owner + 1
  end
  used = tonumber(os.getenv("BENCH_FIRST"))
end

function request()
  used = used + 1
  local at = (used - 1) % #orders + 1 -- a second round asks again for what is done: those answers fail the run
  local body = '{"orderId":' .. orders[at] .. "}"
  return all_heads[owners[at]] .. #body .. "\r\n\r\n" .. body
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary, latency, requests)
  local thread, counted = threads[1], {}
  for status, times in pairs(thread:get("statuses")) do
    counted[#counted + 1] = string.format('"%d": %d', status, times)
  end
  local errors = summary.errors
  print(string.format(
    '{"used": %d, "statuses": {%s}, "broken": %d, "duration_s": %.6f, "p50_ms": %.3f, "p99_ms": %.3f}',
    thread:get("used"), table.concat(counted, ", "), errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
