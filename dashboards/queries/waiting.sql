-- Waiting now: what has no final outcome yet, by what it waits for.
-- board: overview 4
-- chart: table
-- drill: rows(status, reason, channel)
WITH
    (
        SELECT groupArray((cityHash64(if(l.notification_id != '', l.notification_id, subject)), message_id != '' AND l.notification_id != '',
            l.notification_id != '', toString(l.channel), l.status, l.reason, l.at_ms))
        FROM latest AS l FINAL
        WHERE ({tenant:String} = '' OR l.tenant = {tenant:String}) AND startsWith(state, '1')
            AND (tenant, subject) IN (SELECT tenant, subject FROM latest AS l FINAL WHERE ({tenant:String} = '' OR l.tenant = {tenant:String}) AND startsWith(state, '1'))
            AND ({notification:String} = '' OR l.notification = {notification:String})
            AND ({channel:String} = '' OR l.channel = {channel:String})
    ) AS open,
    arrayMap(x -> x.1, arrayFilter(x -> x.2 = 0 AND x.3 = 1, open)) AS holds,
    arrayMap(x -> x.1, arrayFilter(x -> x.3 = 0, open)) AS events,
    -- A hold before routing is over when the notification has messages, or its channels are decided one by one.
    decided AS
    (
        SELECT cityHash64(notification_id) AS id, arrayJoin(if(message_id != '', ['*', toString(channel)], ['*'])) AS place
        FROM latest
        WHERE notEmpty(holds) AND channel != '*' AND cityHash64(notification_id) IN (SELECT arrayJoin(holds))
        UNION ALL
        SELECT cityHash64(origin) AS id, '*' AS place
        FROM outcomes
        WHERE notEmpty(events) AND notification_id != '' AND cityHash64(origin) IN (SELECT arrayJoin(events))
            AND (tenant, hour) IN (SELECT tenant, hour FROM outcome_hours WHERE id IN (SELECT arrayJoin(events)))
    )
SELECT status, reason, channel, count() AS waiting, fromUnixTimestamp64Milli(min(since_ms), 'UTC') AS since
FROM
(
    SELECT x.1 AS id, x.2 AS is_message, x.4 AS channel, x.5 AS status, x.6 AS reason, x.7 AS since_ms
    FROM (SELECT arrayJoin(open) AS x)
)
WHERE is_message = 1 OR (id, channel) NOT IN (SELECT id, place FROM decided)
GROUP BY status, reason, channel
ORDER BY waiting DESC, status, reason, channel
