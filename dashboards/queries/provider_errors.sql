-- Errors over time: attempts that a provider did not take.
-- board: providers 3
-- chart: lines(time, errors, provider)
-- drill: rows(provider, status='retrying')
SELECT toDateTime(intDiv(toUnixTimestamp({rollup_time:Identifier}), {step_s:UInt32}) * {step_s:UInt32}, 'UTC') AS time, provider, sum(outcomes) AS errors
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status IN ('retrying', 'dead') AND provider != ''
GROUP BY time, provider
ORDER BY time, provider
SETTINGS do_not_merge_across_partitions_select_final = 1
