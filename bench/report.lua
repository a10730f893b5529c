-- For wrk: posts the batch in $BATCH_FILE, if there is one, and ends with its figures as one line of JSON.
-- Everything is set before the run, so that no Lua runs for a request.

local file = os.getenv("BATCH_FILE")
if file then
  local handle = assert(io.open(file, "rb"))
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = handle:read("*a")
  handle:close()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"bytes":%d,"p50_us":%d,"p99_us":%d,' ..
    '"non_2xx":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
