-- One batch, as a whole or not at all: nothing is written before everything was looked at.
-- KEYS: the last version, the head of the audit chain, the audit chain, then those of the preconditions, then those of
-- the writes. ARGV: the time in microseconds; the number of preconditions, and the version each wants ('' for absent);
-- the number of writes, and each write; the number of links, and if there are any, the head they follow, the head after
-- them, and each link. Answers {0} for a conflict, {2, head} if the chain has gone on, {1, version, head} if it is done.
local now, at, key = tonumber(ARGV[1]), 3, 4

for _ = 1, tonumber(ARGV[2]) do
  local value, found = redis.call('GET', KEYS[key]), ''
  if value and struct.unpack('>i8', value, 9) > now then
    found = string.format('%.0f', struct.unpack('>I8', value, 1))
  end
  if found ~= ARGV[at] then
    return {0}
  end
  at, key = at + 1, key + 1
end

local writes = at
at = at + 1
for _ = 1, tonumber(ARGV[writes]) do
  local what = ARGV[at]
  at = at + (what == 'd' and 1 or what == 'p' and 3 or 2)
end

local head, links = redis.call('GET', KEYS[2]) or '', tonumber(ARGV[at])
if links > 0 and head ~= ARGV[at + 1] then
  return {2, head}
end

-- The server's time keeps versions apart also where a failover has lost the last of them.
local time, last = redis.call('TIME'), tonumber(redis.call('GET', KEYS[1]) or '0')
local version = string.format('%.0f', math.max(last + 1, tonumber(time[1]) * 1000000 + tonumber(time[2])))
redis.call('SET', KEYS[1], version)
local stamp = struct.pack('>I8', tonumber(version))

if links > 0 then
  head = ARGV[at + 2]
  redis.call('SET', KEYS[2], head)
  for link = 0, links - 1 do
    local from = at + 3 + link * 4
    redis.call('XADD', KEYS[3], ARGV[from], 'p', ARGV[from + 1], 'h', ARGV[from + 2], 'b', ARGV[from + 3])
  end
end

at = writes + 1
for _ = 1, tonumber(ARGV[writes]) do
  local what = ARGV[at]
  if what == 'p' then
    if ARGV[at + 2] == '' then
      redis.call('SET', KEYS[key], stamp .. ARGV[at + 1])
    else
      redis.call('SET', KEYS[key], stamp .. ARGV[at + 1], 'PX', ARGV[at + 2])
    end
    at = at + 3
  elseif what == 'd' then
    redis.call('DEL', KEYS[key])
    at = at + 1
  elseif what == 'f' then
    redis.call('ZADD', KEYS[key], 0, ARGV[at + 1])
    at = at + 2
  else
    redis.call('ZREM', KEYS[key], ARGV[at + 1])
    at = at + 2
  end
  key = key + 1
end
return {1, version, head}
