-- A part of a room's history. If it isn't the one that the reader knows, since a server
-- forgot what it had acknowledged, it gets a new epoch, once for all readers.
--
-- KEYS  stream, meta
-- ARGV  epoch, offset and tag of the last message that the reader has: offset -1 for none,
--       a tag of '' if it isn't known; how many messages; an epoch if one is needed
-- Returns {epoch, offset, tag of the newest message, how many are missing after the
-- reader's, 1 if the reader's is there, {offset, tag, body, offset, tag, body ...}}.
local stream, meta = KEYS[1], KEYS[2]
local after, tag = tonumber(ARGV[2]), ARGV[3]
local epoch, offset, newest = unpack(redis.call('HMGET', meta, 'e', 'o', 't'))
if not epoch then
    return {'', '0', '', 0, after <= 0 and 1 or 0, {}}
end

local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
local oldest = first and tonumber(string.match(first[1], '^%d+')) or tonumber(offset) + 1
local continued = after < 0 or epoch == ARGV[1]
if continued and after > 0 and tag ~= '' then
    local there = redis.call('XRANGE', stream, ARGV[2] .. '-0', ARGV[2] .. '-0')[1]
    local is_another = there and there[2][2] ~= tag
    local is_lost = not there and (after > tonumber(offset) or after >= oldest)
    if is_another or is_lost then
        epoch, continued = string.sub(epoch, 1, 8) .. string.sub(ARGV[5], 1, 8), false
        redis.call('HSET', meta, 'e', epoch)
    end
end

local from = oldest
if after == 0 or (after > 0 and continued) then
    from = after + 1
end
local flat = {}
if tonumber(ARGV[4]) > 0 then
    local entries = redis.call('XRANGE', stream, string.format('%.0f-0', from), '+',
        'COUNT', ARGV[4])
    for _, entry in ipairs(entries) do
        local fields = entry[2]
        if fields[1] == 't' and fields[3] == 'b' then -- or it isn't ours
            flat[#flat + 1] = string.match(entry[1], '^%d+')
            flat[#flat + 1] = fields[2]
            flat[#flat + 1] = fields[4]
        end
    end
end
return {epoch, offset, newest or '', math.max(oldest - from, 0), continued and 1 or 0, flat}
