"""The scripts of the inbox. Redis runs each as one step, so nobody sees an entry without its counts.

All have the same keys and the same first arguments (`PRELUDE`). They take the time from Redis, which is one
clock for all processes, unless their caller gives one.
"""

# When Redis refuses a command of a script it undoes nothing, so each script first asks whether its user may
# run all of them (since Redis 7).
PRELUDE = """
local order, entries, unread, unseen = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local archived, clicked, expiring, changes = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local owed, owing = KEYS[9], KEYS[10]
local live, user, keep, kept_changes = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now = tonumber(ARGV[5])
local TOLD, DAY = 50, 86400000
if redis.acl_check_cmd then
  for _, call in ipairs({
    {'HSETNX', entries, 'm', ''}, {'HEXISTS', entries, 'm'}, {'HGET', entries, 'm'}, {'HDEL', entries, 'm'},
    {'ZADD', order, 1, 'm'}, {'ZRANGE', order, 0, 0}, {'ZREM', order, 'm'},
    {'ZRANGEBYSCORE', order, 0, 1}, {'ZREVRANGEBYSCORE', order, 1, 0}, {'ZRANK', order, 'm'},
    {'SADD', unread, 'm'}, {'SREM', unread, 'm'}, {'SCARD', unread},
    {'SISMEMBER', unread, 'm'}, {'EXPIRE', order, keep}, {'DEL', order}, {'XADD', changes, '*', 'c', ''},
    {'XRANGE', changes, '-', '+'}, {'XREVRANGE', changes, '+', '-'}, {'HGETALL', owed}, {'HLEN', owed},
    {'ZADD', owing, 'NX', 1, 'm'}, {'ZREM', owing, 'm'}, {'PUBLISH', live, ''}, {'TIME'},
  }) do
    if not redis.acl_check_cmd(unpack(call)) then error('ACL failure in script: ' .. call[1]) end
  end
end
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function counts()
  return redis.call('SCARD', unread), redis.call('SCARD', unseen)
end

local function last_change()
  local found = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)
  return found[1] and found[1][1] or '0-0'
end

-- Keeps a change for those who come back, and tells it to those who are there.
local function tell(kind, ids, entry)
  if #ids > TOLD then kind, ids = 'reload', {} end
  local some, new = counts()
  local said = '"kind":"' .. kind .. '","unread":' .. some .. ',"unseen":' .. new
  if #ids > 0 then said = said .. ',"message_ids":' .. cjson.encode(ids) end
  local id = redis.call('XADD', changes, 'MAXLEN', kept_changes, '*', 'c', said)
  redis.call('EXPIRE', changes, keep)
  if entry then said = said .. ',"entry":' .. entry end
  redis.call('PUBLISH', live, '{"id":"' .. id .. '",' .. said .. '}')
end

local function drop(id)
  for _, key in ipairs({order, expiring}) do redis.call('ZREM', key, id) end
  for _, key in ipairs({unread, unseen, archived, clicked}) do redis.call('SREM', key, id) end
  return redis.call('HDEL', entries, id) == 1
end

local function drop_all(ids)
  local gone = {}
  for _, id in ipairs(ids) do
    if drop(id) then gone[#gone + 1] = id end
  end
  if #gone > 0 then tell('removed', gone) end
end

-- Every script that shows entries or counts begins with this: what is over is never counted.
local function prune()
  drop_all(redis.call('ZRANGEBYSCORE', expiring, '-inf', now))
end
"""

ADD = (
    PRELUDE
    + """
local id, entry, at, cap, expires = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
if redis.call('HSETNX', entries, id, entry) == 0 then return 0 end
redis.call('ZADD', order, at, id)
redis.call('SADD', unread, id)
redis.call('SADD', unseen, id)
-- An entry that was over long ago is of a stream that is played again: its clock is not this one.
if expires > 0 and expires > now - DAY then redis.call('ZADD', expiring, expires, id) end
local excess = redis.call('ZRANGE', order, 0, -(cap + 1))
local is_kept = true
for place, old in ipairs(excess) do
  if old == id then
    drop(id)
    is_kept = false
    table.remove(excess, place)
    break
  end
end
drop_all(excess)
prune()
for _, key in ipairs({order, entries, unread, unseen, archived, clicked, expiring}) do
  redis.call('EXPIRE', key, keep)
end
if is_kept and redis.call('HEXISTS', entries, id) == 1 then tell('added', {id}, entry) end
return 1
"""
)

# What each action does to one entry. `owe` notes a report that is not in Kafka yet: it stays until SETTLE.
ACT = (
    PRELUDE
    + """
local action, all, until_ms = ARGV[6], ARGV[7] == '1', ARGV[8]
local KINDS = {seen = 'opened', read = 'read', archive = 'read', delete = 'read', click = 'clicked'}

local function owe(kind, id)
  local entry = cjson.decode(redis.call('HGET', entries, id))
  redis.call('HSETNX', owed, kind .. '/' .. id, cjson.encode({
    kind = kind, at_ms = now, message_id = id, notification_id = entry.notification_id,
    notification = entry.notification, category = entry.category}))
  redis.call('EXPIRE', owed, keep)
  redis.call('ZADD', owing, 'NX', now, user)
end

local function read(id)
  redis.call('SREM', unseen, id)
  if redis.call('SREM', unread, id) == 0 then return false end
  owe('read', id)
  return true
end

local ACTIONS = {
  seen = function(id)
    if redis.call('SREM', unseen, id) == 0 then return false end
    owe('opened', id)
    return true
  end,
  read = read,
  archive = function(id)
    read(id)
    return redis.call('SADD', archived, id) == 1
  end,
  unarchive = function(id) return redis.call('SREM', archived, id) == 1 end,
  delete = function(id)
    read(id)
    return drop(id)
  end,
  click = function(id)
    local is_first = redis.call('SADD', clicked, id) == 1
    if is_first then owe('clicked', id) end
    return read(id) or is_first
  end,
}

local PLACES = {seen = unseen, read = unread, unarchive = archived}
local function targets()
  if not all then
    local ids = {}
    for place = 9, #ARGV do ids[#ids + 1] = ARGV[place] end
    return ids
  end
  local place, found = PLACES[action], {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', order, '-inf', until_ms)) do
    local is_archived = redis.call('SISMEMBER', archived, id) == 1
    if place and redis.call('SISMEMBER', place, id) == 1 or not place and not is_archived then
      found[#found + 1] = id
    end
  end
  return found
end

prune()
local asked, changed = targets(), {}
for _, id in ipairs(asked) do
  if redis.call('HEXISTS', entries, id) == 1 and ACTIONS[action](id) then changed[#changed + 1] = id end
end
if #changed > 0 then
  for _, key in ipairs({archived, clicked}) do redis.call('EXPIRE', key, keep) end
  local TOLD_AS = {archive = 'archived', unarchive = 'unarchived', delete = 'removed', click = 'read'}
  tell(TOLD_AS[action] or action, changed)
end
local wanted, reports = {}, {}
for _, id in ipairs(asked) do wanted[id] = true end
local noted = redis.call('HGETALL', owed)
for place = 1, #noted, 2 do
  if all or wanted[string.match(noted[place], '/(.*)$')] then reports[#reports + 1] = noted[place + 1] end
end
local some, new = counts()
return {some, new, changed, reports}
"""
)

PAGE = (
    PRELUDE
    + """
local most, state, from, after = tonumber(ARGV[6]), ARGV[7], ARGV[8], ARGV[9]
local MOST_SEEN, CHUNK = 500, 100
local function flags(id)
  return redis.call('SISMEMBER', unread, id) + 2 * redis.call('SISMEMBER', unseen, id)
    + 4 * redis.call('SISMEMBER', archived, id)
end
local function fits(flag)
  if state == 'archived' then return flag >= 4 end
  if state == 'unread' then return flag % 2 == 1 end
  if state == 'unseen' then return flag % 4 >= 2 end
  return state == 'all' or flag < 4
end

prune()
local rows, looked, at, next_at, next_id = {}, 0, 0, '', ''
while #rows < most and looked < MOST_SEEN do
  local found = redis.call('ZREVRANGEBYSCORE', order, from, '-inf', 'WITHSCORES', 'LIMIT', at, CHUNK)
  for place = 1, #found, 2 do
    local id, score = found[place], found[place + 1]
    looked = looked + 1
    if #rows < most and (after == '' or score ~= from or id < after) then
      next_at, next_id = score, id
      local flag = flags(id)
      if fits(flag) then rows[#rows + 1] = {id, flag, redis.call('HGET', entries, id)} end
    end
  end
  at = at + CHUNK
  if #found < 2 * CHUNK then break end
end
if next_id == '' or redis.call('ZRANK', order, next_id) == 0 then next_at = '' end
local some, new = counts()
return {some, new, last_change(), next_at, next_id, rows}
"""
)

# A number of 0 changes and `1` say that too much was missed.
RESUME = (
    PRELUDE
    + """
local known = ARGV[6]
prune()
local some, new = counts()
local last = last_change()
if known == '' or known == last then return {some, new, last, 0, {}} end
local found, first = redis.call('XRANGE', changes, known, '+'), 2
if known == '0-0' then
  -- It knows of nothing, so all there ever was is what it missed; unless the oldest is gone.
  if #found >= tonumber(kept_changes) then return {some, new, last, 1, {}} end
  first = 1
elseif not found[1] or found[1][1] ~= known then
  return {some, new, last, 1, {}}
end
local missed = {}
for place = first, #found do
  local id, said, entry = found[place][1], found[place][2][2], nil
  if string.find(said, '"kind":"added"', 1, true) then
    entry = redis.call('HGET', entries, cjson.decode('{' .. said .. '}').message_ids[1])
    if entry then said = said .. ',"entry":' .. entry end
  end
  missed[#missed + 1] = {id, '{"id":"' .. id .. '",' .. said .. '}'}
end
return {some, new, last, 0, missed}
"""
)

SETTLE = (
    PRELUDE
    + """
for place = 6, #ARGV do redis.call('HDEL', owed, ARGV[place]) end
if redis.call('HLEN', owed) == 0 then redis.call('ZREM', owing, user) end
return redis.call('HLEN', owed)
"""
)

ERASE = (
    PRELUDE
    + """
local known = redis.call('DEL', order, entries, unread, unseen, archived, clicked, expiring, changes, owed)
redis.call('ZREM', owing, user)
if known > 0 then redis.call('PUBLISH', live, '{"id":"0-0","kind":"erased","unread":0,"unseen":0}') end
return known
"""
)

# Takes users whose reports have waited for a while, and keeps other processes off them for as long again.
OVERDUE = """
local owing, before, now, most = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local users = redis.call('ZRANGEBYSCORE', owing, '-inf', before, 'LIMIT', 0, most)
for _, user in ipairs(users) do redis.call('ZADD', owing, now, user) end
return users
"""
