-- Reasons of suppression: which rule kept how many notifications back.
-- board: decisions 1
-- chart: table
-- drill: rows(status='suppressed', reason, notification, channel)
SELECT reason, notification, channel, uniqExact(outcome_id) AS notifications, uniqExact(user) AS users
FROM outcomes
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    AND ({notification:String} = '' OR notification = {notification:String}) AND ({channel:String} = '' OR channel = {channel:String})
    AND status = 'suppressed'
GROUP BY reason, notification, channel
ORDER BY notifications DESC
