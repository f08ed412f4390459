-- Failures by provider and code: attempts that did not succeed, and how many of them were the last.
-- board: providers 2
-- chart: table
-- drill: rows(provider, channel, reason, code)
SELECT
    provider,
    channel,
    reason,
    code,
    uniqExactIf(cityHash64(outcome_id), status = 'retrying') AS retried,
    uniqExactIf(cityHash64(outcome_id), status = 'dead') AS dead
FROM outcomes
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND status IN ('retrying', 'dead')
GROUP BY provider, channel, reason, code
ORDER BY dead DESC, retried DESC
LIMIT 100
