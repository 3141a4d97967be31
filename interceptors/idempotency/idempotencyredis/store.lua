-- One request for one key: begin, renew, finish or release. The fields of a key are its owner, the
-- fingerprint of the request, and the outcome once there is one.
local mode, owner, of, ms, outcome = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local has = redis.call('HMGET', KEYS[1], 'owner', 'of', 'outcome')
local mine, finished = has[1] == owner, has[3]

if mode == 'begin' then
  if not has[1] then
    redis.call('HSET', KEYS[1], 'owner', owner, 'of', of)
    redis.call('PEXPIRE', KEYS[1], ms)
    return {0, of, ''}
  elseif finished then
    return {2, has[2], finished}
  end
  return {mine and 0 or 1, has[2], ''}
elseif mode == 'renew' then
  if not mine or finished then return {0, '', ''} end
  redis.call('PEXPIRE', KEYS[1], ms)
  return {1, '', ''}
elseif mode == 'finish' then
  if has[1] and (not mine or finished) then return {mine and 1 or 0, '', ''} end
  redis.call('HSET', KEYS[1], 'owner', owner, 'of', of, 'outcome', outcome)
  redis.call('PEXPIRE', KEYS[1], ms)
  return {1, '', ''}
end
if mine and not finished then redis.call('DEL', KEYS[1]) end
return {1, '', ''}
