-- One attempt against a limit. KEYS: the attempts, as members with their times. ARGV: the time and the window in
-- microseconds, the limit, a name for this attempt that no other has, and what the key may outlive its use by in
-- milliseconds. Answers {allowed, how many count now, the time that must leave the window first or ''}.
local now, window, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function exact(number) return string.format('%.0f', number) end
local since = '(' .. exact(now - window)
local count = redis.call('ZCOUNT', KEYS[1], since, '+inf')
if count >= most then
  -- With a limit that was lowered meanwhile, more than one has to leave the window first.
  local first = redis.call('ZRANGEBYSCORE', KEYS[1], since, '+inf', 'WITHSCORES', 'LIMIT', count - most, 1)
  return {0, count, exact(tonumber(first[2]))}
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', exact(now - window))
redis.call('ZADD', KEYS[1], exact(now), ARGV[4])
local newest = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
redis.call('PEXPIRE', KEYS[1], exact(math.ceil((newest + window - now) / 1000) + tonumber(ARGV[5])))
return {1, count + 1, ''}
