-- Answers demands on quotas, by the time of the server. All numbers are whole and below 2^53.
--
-- KEYS: one for each demand, all in one slot.
-- ARGV: "take" or "charge", then 10 for each demand:
--   kind     0 GCRA, 1 sliding window, 2 fixed window
--   permits, per (us), burst
--   grain    us, of a sliding window
--   room     permits that are reserved at a time
--   need     permits; for charge: negative ones are given back
--   want     more permits, for a lease
--   back     permits of an unused lease, and the id of their answer (0: any)
-- Returns 9 numbers for each demand: 1 if need can be met, granted, reserved, us until a permit returns, us until
-- need can be met (-1: never), us until max(need, want) can be there, remaining, us until the quota is whole, id.
-- It writes only if all needs can be met, except for what is given back and reserved.
local FIELDS, SETBACK = 10, 10000000
local charge = ARGV[1] == 'charge'
local clock = redis.call('TIME')
local time = clock[1] * 1000000 + clock[2]
local text = function(n) return string.format('%.0f', n) end

local function keep(key, us) redis.call('PEXPIRE', key, text(math.ceil(us / 1000) + 1)) end

-- GCRA: the key is a string of used, at, and since when used is above 0. A permit is per units, and each us
-- returns permits units. Permits that were granted before used was 0 have returned already.
local gcra = {}

function gcra.load(q)
  local used, at, busy = string.match(redis.call('GET', q.key) or '', '^(%d+) (%d+) (%d+)$')
  q.used, q.at, q.busy, q.full = tonumber(used) or 0, tonumber(at) or time, tonumber(busy) or time, q.burst * q.per
  if q.at - time > SETBACK then q.at, q.busy = time, math.min(q.busy, time) end
  q.now = math.max(q.at, time)
  local passed = q.now - q.at
  if passed >= q.used / q.permits then q.used = 0 else q.used = q.used - passed * q.permits end
  if q.used == 0 then q.busy = q.now end
end

function gcra.back(q, n, id)
  if id == 0 or id >= q.busy then q.used = math.max(q.used - math.min(n, 2 * q.burst) * q.per, 0) end
end

function gcra.free(q) return math.floor((q.full - q.used) / q.per) end
function gcra.take(q, n) q.used = q.used + n * q.per end
function gcra.charge(q, n) q.used = math.max(q.used, math.min(q.used + math.min(n, 2 * q.burst) * q.per, 2 * q.full)) end
function gcra.wait(q, n) return math.max(math.ceil((q.used + n * q.per - q.full) / q.permits), 0) end
function gcra.reset(q) return math.ceil(q.used / q.permits) end
function gcra.id(q) return q.now end

function gcra.save(q)
  if q.used <= 0 then redis.call('DEL', q.key) return end
  local state = text(q.used) .. ' ' .. text(q.now) .. ' ' .. text(q.busy)
  redis.call('SET', q.key, state, 'PX', text(math.ceil((q.now - time + q.reset(q)) / 1000) + 1))
end

-- Fixed window: the key is a string of the start and the permits that are taken.
local fixed = {}

function fixed.load(q)
  local start, taken = string.match(redis.call('GET', q.key) or '', '^(%d+) (%d+)$')
  q.start, q.taken = tonumber(start) or 0, tonumber(taken) or 0
  local current = time - time % q.per
  if current > q.start then q.start, q.taken = current, 0 end
  if q.start - time > SETBACK then q.start = current end
  q.now = math.max(time, q.start)
  q.left = q.start + q.per - q.now
end

function fixed.back(q, n, id) if id == 0 or id == q.start then q.taken = math.max(q.taken - n, 0) end end
function fixed.free(q) return q.permits - q.taken end
function fixed.take(q, n) q.taken = q.taken + n end
function fixed.charge(q, n) q.taken = math.max(q.taken, math.min(q.taken + n, 2 * q.permits)) end
function fixed.wait(q) return q.left end
function fixed.reset(q) if q.taken > 0 then return q.left end return 0 end
function fixed.id(q) return q.start end

function fixed.save(q)
  if q.taken <= 0 then redis.call('DEL', q.key) return end
  redis.call('SET', q.key, text(q.start) .. ' ' .. text(q.taken), 'PX', text(math.ceil((q.start + q.per - time) / 1000) + 1))
end

-- Sliding window: the key is a hash. The entries first to last have names that are consecutive numbers, and
-- each is "at permits": permits that return per after at + shift.
local sliding = {}

function sliding.load(q)
  local h = redis.call('HMGET', q.key, 'first', 'last', 'taken', 'shift')
  q.first, q.last = tonumber(h[1]) or time, tonumber(h[2]) or time - 1
  q.taken, q.shift, q.now, q.changed = tonumber(h[3]) or 0, tonumber(h[4]) or 0, time, false
  if q.first <= q.last then
    local at = q.entry(q, q.last)
    if at - time > SETBACK then q.shift, q.changed = q.shift - (at - time), true end
  end
  while q.first <= q.last do
    local at, n = q.entry(q, q.first)
    if time - at < q.per then break end
    redis.call('HDEL', q.key, text(q.first))
    q.first, q.taken, q.changed = q.first + 1, q.taken - n, true
  end
end

function sliding.entry(q, i)
  local at, n = string.match(redis.call('HGET', q.key, text(i)) or '', '^(-?%d+) (%d+)$')
  return (tonumber(at) or 0) + q.shift, tonumber(n) or 0
end

function sliding.put(q, i, at, n)
  redis.call('HSET', q.key, text(i), text(at - q.shift) .. ' ' .. text(n))
  q.changed = true
end

function sliding.back(q, n, id)
  local from, to = q.first, q.last
  if id > 0 then from, to = math.max(id, from), math.min(id, to) end
  for i = from, to do
    if n <= 0 then return end
    local at, m = q.entry(q, i)
    local less = math.min(n, m)
    q.put(q, i, at, m - less)
    q.taken, n = q.taken - less, n - less
  end
end

function sliding.free(q) return q.permits - q.taken end

function sliding.take(q, n)
  if n <= 0 then return end
  q.taken = q.taken + n
  if q.first <= q.last then
    local at, m = q.entry(q, q.last)
    if at >= time - time % q.grain then q.put(q, q.last, math.max(at, time), m + n) return end
  else
    q.first, q.last, q.shift = time, time - 1, 0
  end
  q.last = q.last + 1
  q.put(q, q.last, time, n)
end

function sliding.charge(q, n) sliding.take(q, math.max(math.min(n, 2 * q.permits - q.taken), 0)) end

function sliding.wait(q, n)
  n = math.max(n - (q.permits - q.taken), 1)
  for i = q.first, q.last do
    local at, m = q.entry(q, i)
    n = n - m
    if n <= 0 then return at + q.per - time end
  end
  return 0
end

function sliding.reset(q)
  if q.first > q.last then return 0 end
  return q.entry(q, q.last) + q.per - time
end

function sliding.id(q) if q.first > q.last then return 0 end return q.last end

function sliding.save(q)
  if not q.changed then return end
  if q.first > q.last then redis.call('DEL', q.key) return end
  redis.call('HSET', q.key, 'first', text(q.first), 'last', text(q.last), 'taken', text(q.taken), 'shift', text(q.shift))
  keep(q.key, q.reset(q))
end

local kinds = {[0] = gcra, [1] = sliding, [2] = fixed}
local quotas, demands, all = {}, {}, true

for i = 1, #KEYS do
  local a = {}
  for j = 1, FIELDS do a[j] = tonumber(ARGV[1 + (i - 1) * FIELDS + j]) end
  local q = quotas[KEYS[i]]
  if not q then
    q = setmetatable({key = KEYS[i], permits = a[2], per = a[3], burst = a[4], grain = a[5], asked = 0}, {__index = kinds[a[1]]})
    q.load(q)
    quotas[KEYS[i]] = q
  end
  local d = {q = q, kind = a[1], room = a[6], need = a[7], want = a[8], granted = 0, reserved = 0, retry = 0}
  demands[i] = d
  if a[9] > 0 then q.back(q, a[9], a[10]) end
  if charge then
    if d.need < 0 then q.back(q, -d.need, 0) else q.charge(q, d.need) end
    d.need = 0
  end
  d.ok = d.need == 0 or q.asked + d.need <= q.free(q)
  if d.ok then
    q.asked = q.asked + d.need
  else
    all = false
    d.retry = q.wait(q, q.asked + d.need)
    if d.need > q.burst then d.retry = -1 end
  end
end

local out = {}
for _, d in ipairs(demands) do
  local q = d.q
  if all then
    q.asked = q.asked - d.need
    local extra = math.max(math.min(d.want, q.free(q) - q.asked - d.need), 0)
    d.granted, d.want = d.need + extra, d.want - extra
    q.take(q, d.granted)
  elseif not d.ok and d.room > 0 then
    d.want = math.max(d.want, 1)
  end
end
for i, d in ipairs(demands) do
  local q = d.q
  local remaining = math.max(q.free(q), 0)
  local next, worth = q.wait(q, remaining + 1), q.wait(q, math.min(math.max(d.need, d.want), q.burst))
  if d.kind == 0 and (all or not d.ok) and d.want > 0 and remaining == 0 and d.room > 0 then
    local room = d.room + math.floor((q.full - q.used) / q.per)
    if room > 0 then
      d.reserved = math.min(d.want, math.max(math.floor(room / 2), 1))
      q.take(q, d.reserved)
    end
  end
  local answer = {d.ok and 1 or 0, d.granted, d.reserved, next, d.retry, worth, remaining, q.reset(q), q.id(q)}
  for j = 1, 9 do out[(i - 1) * 9 + j] = answer[j] end
end
for _, q in pairs(quotas) do q.save(q) end
return out
