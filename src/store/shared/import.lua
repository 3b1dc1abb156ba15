-- Things as another store had them. KEYS: one for each thing, for a link the chain and its head. ARGV: each thing: a value
-- with for how long it is kept in milliseconds ('' for always); attempts with the same, their number, and the time and the
-- name of each; a filed key; a link with the head after it. Answers how many things they were.
local at, key, count = 1, 1, 0
while at <= #ARGV do
  local what = ARGV[at]
  if what == 'v' then
    if ARGV[at + 2] == '' then
      redis.call('SET', KEYS[key], ARGV[at + 1])
    else
      redis.call('SET', KEYS[key], ARGV[at + 1], 'PX', ARGV[at + 2])
    end
    at = at + 3
  elseif what == 'a' then
    local life, times = ARGV[at + 1], tonumber(ARGV[at + 2])
    for i = 0, times - 1 do
      redis.call('ZADD', KEYS[key], ARGV[at + 3 + i * 2], ARGV[at + 4 + i * 2])
    end
    if life ~= '' then
      redis.call('PEXPIRE', KEYS[key], life)
    end
    at = at + 3 + times * 2
  elseif what == 'f' then
    redis.call('ZADD', KEYS[key], 0, ARGV[at + 1])
    at = at + 2
  else
    redis.call('XADD', KEYS[key], ARGV[at + 1], 'p', ARGV[at + 2], 'h', ARGV[at + 3], 'b', ARGV[at + 4])
    key = key + 1
    redis.call('SET', KEYS[key], ARGV[at + 5])
    at = at + 6
  end
  key, count = key + 1, count + 1
end
return count
