-- Limits: notifications that a limit suppressed or held, by the counter that was full.
-- board: decisions 5
-- chart: table
-- drill: rows(reason, notification, status)
SELECT
    JSONExtractString(detail, 'counter') AS counter,
    JSONExtractInt(detail, 'limit') AS limit,
    reason,
    status,
    notification,
    uniqExact(cityHash64(outcome_id)) AS notifications,
    uniqExact(cityHash64(user)) AS users
FROM outcomes
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND reason IN ('limit', 'limit_hold')
GROUP BY counter, limit, reason, status, notification
ORDER BY notifications DESC, counter
LIMIT 100
