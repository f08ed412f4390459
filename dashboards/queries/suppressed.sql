-- Reasons of suppression: which rule kept how many notifications back.
SELECT reason, notification, channel, uniqExact(outcome_id) AS notifications, uniqExact(user) AS users
FROM outcomes
WHERE tenant = {tenant:String} AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64} AND status = 'suppressed'
GROUP BY reason, notification, channel
ORDER BY notifications DESC
