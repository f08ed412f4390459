-- Reasons of suppression: which rule kept how many notifications back.
-- board: decisions 1
-- chart: table
-- drill: rows(status='suppressed', reason, notification, channel)
SELECT reason, notification, channel, sum(outcomes) AS notifications, uniqCombined64Merge(o.users) AS users
FROM {rollup:Identifier} AS o FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status = 'suppressed'
GROUP BY reason, notification, channel
ORDER BY notifications DESC, reason
LIMIT 200
SETTINGS do_not_merge_across_partitions_select_final = 1
