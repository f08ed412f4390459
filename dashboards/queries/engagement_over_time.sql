-- Engagement over time: the share of the messages sent in each step that was reported so.
-- board: engagement 1
-- chart: lines(time, ratio, reported)
SELECT time, reported, count / messages AS ratio
FROM
(
    SELECT
        toDateTime(intDiv(toUnixTimestamp(hour), greatest(3600, {step_s:UInt32})) * greatest(3600, {step_s:UInt32}), 'UTC') AS time,
        sum(e.sent) AS messages,
        [sum(delivered), sum(opened), sum(clicked), sum(read), sum(bounced), sum(complained), sum(unsubscribed)] AS counts
    FROM engagement_hour AS e FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND hour >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - 3600 + 1), 'UTC')
        AND hour < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
    GROUP BY time
)
ARRAY JOIN ['delivered', 'opened', 'clicked', 'read', 'bounced', 'complained', 'unsubscribed'] AS reported, counts AS count
ORDER BY time, reported
SETTINGS do_not_merge_across_partitions_select_final = 1
