-- Waiting now: what has no final outcome yet, by what it waits for.
-- board: overview 4
-- chart: table
-- drill: waiting_rows(status, reason, channel)
WITH
    -- Notifications of which a hold may be open: most holds are over, and these are found by numbers alone.
    held AS
    (
        SELECT id
        FROM hold_parts
        PREWHERE id IN
        (
            SELECT id
            FROM hold_parts
            PREWHERE NOT decided AND NOT message
            WHERE hold != '' AND ({tenant:String} = '' OR tenant = {tenant:String})
                AND ({notification:String} = '' OR notification = {notification:String})
        )
        GROUP BY id
        HAVING NOT max(channel != '*' OR decided OR message)
            OR max(channel != '*' AND NOT decided AND NOT message AND hold != '')
    ),
    -- A hold before routing, of the channel `*`, is over when the notification has outcomes of its channels.
    parts AS
    (
        SELECT id, channel, max(h.hold) AS hold, hold != '' AND max(h.decided) = 0 AND max(h.message) = 0 AS is_open
        FROM hold_parts AS h
        PREWHERE id IN (SELECT id FROM held)
        GROUP BY id, channel
    ),
    -- States of messages that may be open; older ones of what has ended are among them until ClickHouse merges them.
    maybe AS
    (
        SELECT tenant, subject
        FROM latest AS l
        PREWHERE message_stage = 1
        WHERE ({tenant:String} = '' OR l.tenant = {tenant:String})
    ),
    -- Events that wait before they are notifications; `notification` is quicker to read than the id.
    events AS
    (
        SELECT tenant, origin
        FROM outcomes
        PREWHERE status = 'held' AND notification = ''
        WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND {notification:String} = '' AND notification_id = ''
    ),
    open AS
    (
        SELECT 'held' AS status, substring(one.2, 17) AS reason, one.1 AS channel, toInt64OrZero(substring(one.2, 1, 15)) AS since_ms
        FROM
        (
            SELECT arrayFilter(p -> p.1 != '*' OR countIf(channel != '*') = 0, groupArrayIf((toString(channel), hold), is_open)) AS left
            FROM parts
            GROUP BY id
        )
        ARRAY JOIN left AS one
        UNION ALL
        SELECT splitByChar('\t', state)[2], splitByChar('\t', state)[3], channel, toInt64OrZero(substring(state, 2, 15))
        FROM
        (
            SELECT max(l.state) AS state, toString(max(l.channel)) AS channel, max(l.notification) AS notification
            FROM latest AS l
            WHERE (l.tenant, l.subject) IN (SELECT tenant, subject FROM maybe)
            GROUP BY l.tenant, l.subject
        )
        WHERE startsWith(state, '1') AND ({notification:String} = '' OR notification = {notification:String})
        UNION ALL
        SELECT 'held', argMax(o.reason, if(o.status = 'held', o.at_ms, -1)), '*', maxIf(o.at_ms, o.status = 'held')
        FROM outcomes AS o
        WHERE (o.tenant, o.hour) IN
            (SELECT tenant, hour FROM outcome_hours WHERE (tenant, id) IN (SELECT tenant, cityHash64(origin) FROM events))
            AND (o.tenant, o.origin) IN (SELECT tenant, origin FROM events)
        GROUP BY o.tenant, o.origin
        HAVING countIf(o.notification_id != '' OR o.status != 'held') = 0
    )
SELECT status, reason, channel, count() AS waiting, fromUnixTimestamp64Milli(min(since_ms), 'UTC') AS since
FROM open
WHERE ({channel:String} = '' OR channel = {channel:String})
GROUP BY status, reason, channel
ORDER BY waiting DESC, status, reason, channel
