-- Which nodes live, by this server's clock.
--
-- KEYS  nodes
-- ARGV  the node that shows that it does or '', seconds after which another one is
--       taken for dead
-- Returns 1 if the node wasn't known to live, and the names of those that do.
local now, dead_after = tonumber(redis.call('TIME')[1]), tonumber(ARGV[2])
local was_dead = 0
if ARGV[1] ~= '' then
    local score = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
    was_dead = now - score > dead_after and 1 or 0
    redis.call('ZADD', KEYS[1], now, ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400)
    redis.call('EXPIRE', KEYS[1], 86400)
end
return {was_dead, redis.call('ZRANGEBYSCORE', KEYS[1], now - dead_after, '+inf')}
