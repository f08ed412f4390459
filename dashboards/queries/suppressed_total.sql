-- Suppressed: notifications that a rule kept back.
-- board: overview 2
-- chart: stat(outcomes)
-- drill: rows(status='suppressed')
SELECT sum(outcomes) AS outcomes
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status = 'suppressed'
SETTINGS do_not_merge_across_partitions_select_final = 1
