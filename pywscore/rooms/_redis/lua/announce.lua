-- Keep what is known of a node's members in a room, and tell the nodes of the change.
--
-- KEYS  presence
-- ARGV  channel, node, all of its members or '' for none, seconds that it is kept, the
--       change
if ARGV[3] == '' then
    redis.call('HDEL', KEYS[1], ARGV[2])
else
    redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
    redis.call('EXPIRE', KEYS[1], ARGV[4])
end
redis.call('PUBLISH', ARGV[1], 'r' .. ARGV[5])
return 1
