-- Latency over time: 99 of 100 messages were sent within this, by channel.
-- board: delivery 3
-- chart: lines(time, p99_ms, channel)
-- drill: rows(status='sent', channel)
SELECT toDateTime(intDiv(toUnixTimestamp({rollup_time:Identifier}), {step_s:UInt32}) * {step_s:UInt32}, 'UTC') AS time, channel, quantilesExactMerge(0.5, 0.9, 0.95, 0.99)(latencies)[4] AS p99_ms
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status = 'sent'
GROUP BY time, channel
ORDER BY time, channel
SETTINGS do_not_merge_across_partitions_select_final = 1
