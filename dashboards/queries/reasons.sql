-- Reasons: why notifications and messages did not go out, the most frequent first.
-- board: overview 7
-- chart: bars(reason, outcomes, status)
-- drill: rows(status, reason)
SELECT reason, status, sum(outcomes) AS outcomes
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status IN ('suppressed', 'merged', 'cancelled', 'expired', 'dead') AND reason != ''
GROUP BY reason, status
ORDER BY outcomes DESC, reason, status
LIMIT 20
SETTINGS do_not_merge_across_partitions_select_final = 1
