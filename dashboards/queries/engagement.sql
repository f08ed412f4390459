-- Engagement by notification and channel: what became of the messages sent in the range, whenever it was reported.
-- board: engagement 2
-- chart: table
-- drill: rows(notification, channel)
-- with: engagement
SELECT
    notification, channel,
    sum(part.sent) AS messages,
    uniqCombined64Merge(part.users) AS users,
    uniqCombined64Merge(part.opened_users) AS opened_users,
    sum(part.delivered) / messages AS delivered_ratio,
    sum(part.opened) / messages AS opened_ratio,
    sum(part.clicked) / messages AS clicked_ratio,
    sum(part.read) / messages AS read_ratio,
    sum(part.bounced) / messages AS bounced_ratio,
    sum(part.complained) / messages AS complained_ratio,
    sum(part.unsubscribed) / messages AS unsubscribed_ratio
FROM part
GROUP BY notification, channel
ORDER BY messages DESC, notification, channel
LIMIT 200
SETTINGS do_not_merge_across_partitions_select_final = 1
