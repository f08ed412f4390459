-- Provider latency over time: 99 of 100 answers came within this.
-- board: providers 4
-- chart: lines(time, p99_ms, provider)
-- drill: rows(provider)
SELECT toDateTime(intDiv(toUnixTimestamp({rollup_time:Identifier}), {step_s:UInt32}) * {step_s:UInt32}, 'UTC') AS time, provider, quantilesExactMerge(0.5, 0.9, 0.95, 0.99)(o.provider_ms)[4] AS p99_ms
FROM {rollup:Identifier} AS o FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status IN ('sent', 'retrying', 'dead') AND provider != ''
GROUP BY time, provider
ORDER BY time, provider
SETTINGS do_not_merge_across_partitions_select_final = 1
