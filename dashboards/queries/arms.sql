-- Arms of experiments: decisions by notification and arm; the holdout is suppressed.
-- board: decisions 7
-- chart: table
-- drill: rows(notification, variant)
SELECT
    notification,
    variant,
    sumIf(outcomes, status = 'admitted') AS admitted,
    sumIf(outcomes, status = 'sent') AS sent,
    sumIf(outcomes, status = 'suppressed' AND reason = 'holdout') AS holdout,
    uniqCombined64Merge(o.users) AS users
FROM {rollup:Identifier} AS o FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND variant != ''
GROUP BY notification, variant
ORDER BY notification, variant
SETTINGS do_not_merge_across_partitions_select_final = 1
