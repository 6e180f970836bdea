-- Keep a message of a room, and give it to the nodes: both or neither.
--
-- KEYS  stream, meta, and perhaps that of an idempotency key
-- ARGV  channel, body, tag, which is the epoch, too, if a new one is needed; how many
--       messages are kept, seconds until a silent room is forgotten, 1 if this is tried
--       again, seconds that an idempotency key is known
-- Returns 'epoch offset tag', which is read in one piece: of the message that was kept
-- before under the same key or, tried again, with the same tag.
local stream, meta, once = KEYS[1], KEYS[2], KEYS[3]
local channel, body, tag, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[3]

if once then
    local known = redis.call('GET', once)
    if known then
        return {ok = known}
    end
end
local known = redis.call('HGET', meta, 'e')
if known and ARGV[6] == '1' then
    for _, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1000)) do
        if entry[2][2] == tag then
            return {ok = known .. ' ' .. string.match(entry[1], '^%d+') .. ' ' .. tag}
        end
    end
end

if known then
    epoch = known
else
    redis.call('DEL', stream)
    redis.call('HSET', meta, 'e', epoch)
end
local offset = redis.call('HINCRBY', meta, 'o', 1)
local function add()
    return redis.pcall('XADD', stream, 'MAXLEN', ARGV[4], string.format('%.0f-0', offset),
        't', tag, 'b', body)
end
local added = add()
if type(added) == 'table' and added.err then
    -- The stream has more than its meta hash knows of: another history.
    redis.call('DEL', stream)
    epoch, offset = tag, 1
    redis.call('HSET', meta, 'e', epoch, 'o', offset)
    added = add()
    if type(added) == 'table' and added.err then
        return added
    end
end
redis.call('HSET', meta, 't', tag)
redis.call('EXPIRE', stream, ARGV[5])
redis.call('EXPIRE', meta, ARGV[5])
local place = epoch .. ' ' .. string.format('%.0f', offset) .. ' ' .. tag
if once then
    redis.call('SET', once, place, 'EX', ARGV[7])
end
redis.call('PUBLISH', channel, 'm' .. place .. ' ' .. body)
return {ok = place}
