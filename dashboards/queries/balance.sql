-- The books (law 1): final words by status and reason, and how many notifications have more than one.
SELECT
    status,
    reason,
    uniqExact(outcome_id) AS words
FROM outcomes
WHERE tenant = {tenant:String} AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
GROUP BY status, reason
ORDER BY status, words DESC
