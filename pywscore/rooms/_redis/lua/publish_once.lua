-- Give a message of a room without history to the nodes, once for an idempotency key.
--
-- KEYS  that of the key
-- ARGV  channel, what the nodes get, seconds that the key is known
-- Returns 1, or 0 if it was known.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[3]) then
    return 0
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
