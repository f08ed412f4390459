-- Latency of sent messages: from the event in Kafka to the provider's answer, beside what is promised.
-- board: delivery 2
-- chart: table
-- drill: rows(status='sent', channel)
SELECT
    channel,
    sum(outcomes) AS sent,
    arrayElement(quantilesExactMerge(0.5, 0.9, 0.95, 0.99)(latencies) AS q, 1) AS p50_ms,
    q[2] AS p90_ms,
    q[4] AS p99_ms,
    transform(channel, ['push', 'webpush', 'inapp', 'sms', 'email'], [1000, 1000, 1000, 30000, 300000], 0) AS promised_ms,
    if(promised_ms = 0, 'none', if(p99_ms <= promised_ms, 'kept', if(p90_ms <= promised_ms, 'kept for 9 in 10', 'broken'))) AS promise
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status = 'sent'
GROUP BY channel
ORDER BY channel
SETTINGS do_not_merge_across_partitions_select_final = 1
