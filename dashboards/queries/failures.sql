-- Failures by provider and code: attempts that did not succeed, and how many of them were the last.
SELECT
    provider,
    channel,
    reason,
    code,
    uniqExactIf(outcome_id, status = 'retrying') AS retried,
    uniqExactIf(outcome_id, status = 'dead') AS dead
FROM outcomes
WHERE tenant = {tenant:String} AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64} AND status IN ('retrying', 'dead')
GROUP BY provider, channel, reason, code
ORDER BY dead DESC, retried DESC
