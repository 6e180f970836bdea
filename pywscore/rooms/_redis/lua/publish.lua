-- Keep messages of rooms, and give them to the nodes: both or neither of each room's.
--
-- KEYS  of each room: stream, meta, and those of idempotency keys
-- ARGV  seconds that an idempotency key is known; of each room: channel, how many
--       messages are kept, seconds until it is forgotten if it is silent, 1 if one is
--       tried again, how many come;
--       of each of these: body, tag, which is the epoch, too, if a new one is needed,
--       and in one number 1 if it is tried again, 2 if it has an idempotency key; if
--       it is tried again, epoch and offset of a message that was kept before it was
--       tried first, '' and 0 for none
-- Returns 'epoch offset tag' of each message, in one piece with spaces in between: of
-- the one that was kept before under the same key or, tried again, with the same tag;
-- '? 0 tag' if it may have been, and others have taken its place.
local key, arg = 1, 1

local function next_key()
    key = key + 1
    return KEYS[key - 1]
end

local function next_arg()
    arg = arg + 1
    return ARGV[arg - 1]
end

-- Offsets by tag, and the lowest.
local function kept_in(stream)
    local kept, oldest = {}, nil
    for _, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1000)) do
        oldest = string.match(entry[1], '^%d+')
        kept[entry[2][2]] = oldest
    end
    return kept, tonumber(oldest)
end

-- Offsets of a successor go on where those of the other were, or before.
local function in_lineage(epoch, place_epoch, place_offset)
    return string.sub(place_epoch, 1, 8) == string.sub(epoch, 1, 8) and place_offset or 0
end

local known_for = next_arg()
local places = {}

local function publish()
    local stream, meta = next_key(), next_key()
    local channel, history, ttl = next_arg(), next_arg(), next_arg()
    local known = redis.call('HMGET', meta, 'e', 'o')
    local epoch, offset, newest = known[1], tonumber(known[2] or 0), nil
    local live, kept, oldest = {}, {}, nil
    if next_arg() == '1' and epoch then
        kept, oldest = kept_in(stream)
    end

    local function add(tag, body)
        return redis.pcall('XADD', stream, 'MAXLEN', history,
            string.format('%.0f-0', offset), 't', tag, 'b', body)
    end

    for _ = 1, tonumber(next_arg()) do
        local body, tag, how = next_arg(), next_arg(), tonumber(next_arg())
        local once = how >= 2 and next_key()
        local place = once and redis.call('GET', once)
        if place == '1' then
            place = '- 0 ' .. tag -- published when the room had no history
        end
        if how % 2 == 1 then
            local known, known_offset = next_arg(), tonumber(next_arg())
            if place then
                -- It is known by its key.
            elseif kept[tag] then
                place = epoch .. ' ' .. kept[tag] .. ' ' .. tag
            elseif oldest and not once
                and oldest > in_lineage(epoch, known, known_offset) + 1 then
                place = '? 0 ' .. tag
            end
        end
        if not place then
            if not epoch then
                redis.call('DEL', stream)
                epoch = tag
            end
            offset = offset + 1
            local added = add(tag, body)
            if type(added) == 'table' and string.find(added.err, 'equal or smaller') then
                -- The stream has more than its meta hash knows of: another history.
                redis.call('DEL', stream)
                epoch, offset, kept, oldest = tag, 1, {}, nil
                added = add(tag, body)
            end
            if type(added) == 'table' then
                return added
            end
            newest = tag
            place = epoch .. ' ' .. string.format('%.0f', offset) .. ' ' .. tag
            live[#live + 1] = 'm' .. place .. ' ' .. body
            if once then
                redis.call('SET', once, place, 'EX', known_for)
            end
        end
        places[#places + 1] = place
    end
    if newest then
        local last = string.format('%.0f', offset)
        redis.call('HSET', meta, 'e', epoch, 'o', last, 't', newest)
        redis.call('EXPIRE', stream, ttl)
        redis.call('EXPIRE', meta, ttl)
        for _, message in ipairs(live) do
            redis.call('PUBLISH', channel, message)
        end
    end
end

while arg <= #ARGV do
    local failed = publish()
    if failed then
        return failed
    end
end
return {ok = table.concat(places, ' ')}
