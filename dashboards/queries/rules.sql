-- Rules: how many notifications each rule suppressed or held.
-- board: decisions 3
-- chart: bars(rule, outcomes, status)
-- drill: rows(rule, status)
SELECT rule, status, uniqExact(cityHash64(outcome_id)) AS outcomes
FROM outcomes
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND rule != '' AND status IN ('suppressed', 'held', 'merged', 'cancelled', 'expired')
GROUP BY rule, status
ORDER BY outcomes DESC, rule, status
LIMIT 40
