-- Engagement by arm of an experiment: what became of the messages of each arm.
-- board: engagement 6
-- chart: table
-- drill: rows(notification, variant)
SELECT
    notification, variant,
    sum(e.sent) AS messages,
    uniqCombined64Merge(e.users) AS users,
    uniqCombined64Merge(e.opened_users) AS opened_users,
    sum(delivered) / messages AS delivered_ratio,
    sum(opened) / messages AS opened_ratio,
    sum(clicked) / messages AS clicked_ratio,
    sum(read) / messages AS read_ratio,
    sum(bounced) / messages AS bounced_ratio,
    sum(complained) / messages AS complained_ratio,
    sum(unsubscribed) / messages AS unsubscribed_ratio
FROM engagement_hour AS e FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND hour >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - 3600 + 1), 'UTC')
    AND hour < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND variant != ''
GROUP BY notification, variant
ORDER BY messages DESC, notification, variant
LIMIT 200
SETTINGS do_not_merge_across_partitions_select_final = 1
