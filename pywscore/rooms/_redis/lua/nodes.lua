-- Which nodes live, by this server's clock.
--
-- KEYS  nodes
-- ARGV  the node that shows that it does or '', seconds after which another one is
--       taken for dead
-- Returns their names.
local now = tonumber(redis.call('TIME')[1])
if ARGV[1] ~= '' then
    redis.call('ZADD', KEYS[1], now, ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400)
    redis.call('EXPIRE', KEYS[1], 86400)
end
return redis.call('ZRANGEBYSCORE', KEYS[1], now - tonumber(ARGV[2]), '+inf')
