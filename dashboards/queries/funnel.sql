-- Funnel by notification and channel: how many were admitted, sent, delivered, opened and clicked.
-- board: overview 2
-- chart: table
SELECT
    notification,
    channel,
    uniqExactIf(message_id, status = 'admitted') AS admitted,
    uniqExactIf(message_id, status = 'sent') AS sent,
    uniqExactIf(message_id, status = 'delivered') AS delivered,
    uniqExactIf(message_id, status = 'opened') AS opened,
    uniqExactIf(message_id, status = 'clicked') AS clicked,
    uniqExactIf(message_id, status = 'dead') AS dead
FROM outcomes
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    AND ({notification:String} = '' OR notification = {notification:String}) AND ({channel:String} = '' OR channel = {channel:String})
    AND message_id != ''
GROUP BY notification, channel
ORDER BY notification, channel
