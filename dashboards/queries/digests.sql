-- Digests: those that were opened or cancelled, the items that went into them, and the messages that came of them.
-- board: decisions 6
-- chart: table
-- drill: rows(notification, reason='digest')
SELECT
    notification,
    sumIf(outcomes, status = 'merged' AND reason != 'collapsed') AS items,
    sumIf(outcomes, status = 'held' AND reason = 'digest') AS opened,
    sumIf(outcomes, status = 'cancelled' AND reason = 'digest') AS cancelled,
    sumIf(outcomes, status = 'admitted') AS messages
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
GROUP BY notification
HAVING items + opened + cancelled > 0
ORDER BY items DESC, notification
SETTINGS do_not_merge_across_partitions_select_final = 1
