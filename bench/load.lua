-- A script for wrk. It sends the tokens of a file in turn (the optional first argument), and prints the results as
-- one line of JSON.

function init (args)
  if args[1] == nil then return end
  local requests = {}
  for token in io.lines(args[1]) do
    wrk.headers["authorization"] = "Bearer " .. token
    requests[#requests + 1] = wrk.format()
  end
  local at = 0
  request = function ()
    at = at % #requests + 1
    return requests[at]
  end
end

function done (summary, latency)
  local errors = summary.errors
  io.write(string.format('\n{"requests":%d,"seconds":%f,"p99":%f,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
