-- Latency quantiles over time: half, nine of ten and 99 of 100 messages were sent within this.
-- board: delivery 4
-- chart: lines(time, ms, quantile)
SELECT time, quantile, ms
FROM
(
    SELECT toDateTime(intDiv(toUnixTimestamp({rollup_time:Identifier}), {step_s:UInt32}) * {step_s:UInt32}, 'UTC') AS time, quantilesExactMerge(0.5, 0.9, 0.95, 0.99)(latencies) AS found
    FROM {rollup:Identifier} FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
        AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
        AND status = 'sent'
    GROUP BY time
)
ARRAY JOIN ['p50', 'p90', 'p99'] AS quantile, [found[1], found[2], found[4]] AS ms
ORDER BY time, quantile
SETTINGS do_not_merge_across_partitions_select_final = 1
