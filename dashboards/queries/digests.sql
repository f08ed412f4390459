-- Digests: items that were collected, and the notifications that they became.
-- board: decisions 6
-- chart: table
-- drill: rows(notification, reason='digest')
SELECT
    notification,
    sumIf(outcomes, status = 'merged') AS merged,
    sumIf(outcomes, status = 'held' AND reason = 'digest') AS collected,
    sumIf(outcomes, status = 'cancelled' AND reason = 'digest') AS cancelled,
    sumIf(outcomes, status = 'admitted') AS admitted
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
GROUP BY notification
HAVING merged + collected + cancelled > 0
ORDER BY merged DESC, notification
SETTINGS do_not_merge_across_partitions_select_final = 1
