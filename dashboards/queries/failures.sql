-- Failures by provider and code: attempts that did not succeed, and how many of them were the last.
-- board: providers 2
-- chart: table
-- drill: rows(provider, channel, reason, code)
SELECT
    provider,
    channel,
    reason,
    code,
    sumIf(outcomes, status = 'retrying') AS retried,
    sumIf(outcomes, status = 'dead') AS dead
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status IN ('retrying', 'dead')
GROUP BY provider, channel, reason, code
ORDER BY dead DESC, retried DESC, provider, channel, reason, code
LIMIT 100
SETTINGS do_not_merge_across_partitions_select_final = 1
