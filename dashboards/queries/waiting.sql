-- Waiting now: what has no final outcome yet, by what it waits for.
-- board: overview 4
-- chart: table
-- drill: rows(status, reason, channel)
WITH
    -- What may be open; older states of what has ended are among it until ClickHouse merges them.
    maybe AS
    (
        SELECT tenant, subject, notification_id
        FROM latest
        WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND startsWith(state, '1')
            AND ({notification:String} = '' OR notification = {notification:String})
    ),
    subjects AS
    (
        SELECT subject, max(l.state) AS state, any(l.notification_id) AS notification_id, any(l.channel) AS channel
        FROM latest AS l
        PREWHERE l.notification_id IN (SELECT notification_id FROM maybe WHERE notification_id != '')
        GROUP BY subject
    ),
    events AS
    (
        SELECT l.tenant AS tenant, subject, max(l.state) AS state
        FROM latest AS l
        WHERE (l.tenant, subject) IN (SELECT tenant, subject FROM maybe WHERE notification_id = '')
        GROUP BY tenant, subject
        HAVING startsWith(state, '1')
    ),
    known AS
    (
        SELECT tenant, origin
        FROM outcomes
        WHERE notification_id != '' AND (tenant, origin) IN (SELECT tenant, subject FROM events)
            AND (tenant, hour) IN (SELECT tenant, hour FROM outcome_hours WHERE (tenant, id) IN (SELECT tenant, cityHash64(subject) FROM events))
    ),
    -- A hold before routing is over when the notification has messages, or its channels are decided one by one.
    open AS
    (
        SELECT one.1 AS state, one.2 AS channel
        FROM
        (
            SELECT
                groupArray((state, toString(channel), position(subject, '/') = 0)) AS parts,
                arrayFilter(p -> startsWith(p.1, '1') AND (p.3 OR NOT arrayExists(
                    o -> if(p.2 = '*', o.2 != '*', o.2 = p.2 AND o.3), parts)), parts) AS left
            FROM subjects
            GROUP BY notification_id
        )
        ARRAY JOIN left AS one
        UNION ALL
        SELECT state, '*' AS channel
        FROM events
        WHERE (tenant, subject) NOT IN (SELECT tenant, origin FROM known)
    )
SELECT
    splitByChar('\t', state)[2] AS status,
    splitByChar('\t', state)[3] AS reason,
    channel,
    count() AS waiting,
    fromUnixTimestamp64Milli(min(toInt64OrZero(substring(state, 2, 15))), 'UTC') AS since
FROM open
WHERE ({channel:String} = '' OR channel = {channel:String})
GROUP BY status, reason, channel
ORDER BY waiting DESC, status, reason, channel
