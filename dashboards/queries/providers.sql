-- Providers: attempts by provider and channel, the share that was taken, and how long the provider took.
-- board: providers 1
-- chart: table
-- drill: rows(provider, channel)
SELECT
    provider,
    channel,
    sumIf(outcomes, status = 'sent') AS taken,
    sumIf(outcomes, status = 'retrying') AS retried,
    sumIf(outcomes, status = 'dead') AS refused,
    taken / (taken + retried + refused) AS success_ratio,
    arrayElement(quantilesExactMerge(0.5, 0.9, 0.95, 0.99)(o.provider_ms) AS q, 1) AS p50_ms,
    q[4] AS p99_ms
FROM {rollup:Identifier} AS o FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status IN ('sent', 'retrying', 'dead') AND provider != ''
GROUP BY provider, channel
ORDER BY provider, channel
SETTINGS do_not_merge_across_partitions_select_final = 1
