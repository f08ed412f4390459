-- Engagement by notification and channel: what became of the messages that were sent in the range, whenever that was reported.
-- board: engagement 1
-- chart: table
-- drill: rows(notification, channel)
WITH messages AS
(
    SELECT
        message_id, any(o.notification) AS notification, any(o.channel) AS channel, any(user) AS user,
        minIf(at_ms, status = 'sent') AS sent_ms,
        max(status IN ('delivered', 'opened', 'clicked', 'read')) AS is_delivered,
        max(status IN ('opened', 'clicked')) AS is_opened,
        max(status = 'clicked') AS is_clicked,
        max(status = 'read') AS is_read,
        max(status = 'bounced') AS is_bounced,
        max(status = 'complained') AS is_complained,
        max(status = 'unsubscribed') AS is_unsubscribed
    FROM outcomes AS o
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND message_id != ''
        AND ({notification:String} = '' OR o.notification = {notification:String})
        AND ({channel:String} = '' OR o.channel = {channel:String})
    GROUP BY message_id
    HAVING countIf(status = 'sent') > 0 AND sent_ms < {to_ms:Int64}
)
SELECT
    notification, channel, count() AS sent, uniqExact(user) AS users,
    countIf(is_delivered) / sent AS delivered_ratio,
    countIf(is_opened) / sent AS opened_ratio,
    countIf(is_clicked) / sent AS clicked_ratio,
    countIf(is_read) / sent AS read_ratio,
    countIf(is_bounced) / sent AS bounced_ratio,
    countIf(is_complained) / sent AS complained_ratio,
    countIf(is_unsubscribed) / sent AS unsubscribed_ratio
FROM messages
GROUP BY notification, channel
ORDER BY sent DESC, notification, channel
