-- Funnel by notification and channel: how many messages were admitted, sent, delivered, opened and clicked.
-- board: overview 8
-- chart: table
-- drill: rows(notification, channel)
SELECT
    notification,
    channel,
    sum(counts[1]) AS admitted,
    sum(counts[2]) AS sent,
    sum(counts[3]) AS delivered,
    sum(counts[4]) AS opened,
    sum(counts[5]) AS clicked,
    sum(counts[6]) AS dead
FROM
(
    SELECT
        notification, channel,
        [sumIf(outcomes, status = 'admitted'), sumIf(outcomes, status = 'sent'), 0, 0, 0, sumIf(outcomes, status = 'dead')] AS counts
    FROM {rollup:Identifier} FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
        AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
        AND channel != '*'
    GROUP BY notification, channel
    UNION ALL
    SELECT notification, channel, [0, 0, sum(e.delivered), sum(e.opened), sum(e.clicked), 0] AS counts
    FROM engagement_hour AS e FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND hour >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - 3600 + 1), 'UTC')
        AND hour < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
    GROUP BY notification, channel
)
GROUP BY notification, channel
HAVING admitted + sent + delivered + dead > 0
ORDER BY sent DESC, notification, channel
LIMIT 500
SETTINGS do_not_merge_across_partitions_select_final = 1
