-- Rules: how many notifications each rule suppressed or held.
-- board: decisions 3
-- chart: bars(rule, outcomes, status)
-- drill: rows(rule, status)
SELECT rule, status, sum(outcomes) AS outcomes
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND rule != '' AND status IN ('suppressed', 'held', 'merged', 'cancelled', 'expired')
GROUP BY rule, status
ORDER BY outcomes DESC, rule, status
LIMIT 40
SETTINGS do_not_merge_across_partitions_select_final = 1
