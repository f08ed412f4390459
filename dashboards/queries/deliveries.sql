-- Deliveries: attempts over time, by channel and how they ended.
-- board: delivery 1
-- chart: lines(time, attempts, ended)
SELECT toDateTime(intDiv(toUnixTimestamp({rollup_time:Identifier}), {step_s:UInt32}) * {step_s:UInt32}, 'UTC') AS time, concat(channel, ' ', status) AS ended, sum(outcomes) AS attempts
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status IN ('sent', 'retrying', 'dead') AND channel != '*'
GROUP BY time, ended
ORDER BY time, ended
SETTINGS do_not_merge_across_partitions_select_final = 1
