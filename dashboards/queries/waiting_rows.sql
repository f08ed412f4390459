-- Waiting: the last outcome of each message, notification or event that has no final one, newest first.
-- board: detail
-- chart: table
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
    -- As in `waiting`: the parts of notifications, messages and events that are open.
    parts AS
    (
        SELECT tenant, id, channel, max(h.hold) AS hold, hold != '' AND max(h.decided) = 0 AND max(h.message) = 0 AS is_open
        FROM hold_parts AS h
        PREWHERE id IN (SELECT id FROM held)
        WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        GROUP BY tenant, id, channel
    ),
    maybe AS
    (
        SELECT tenant, subject
        FROM latest AS l
        PREWHERE message_stage = 1
        WHERE ({tenant:String} = '' OR l.tenant = {tenant:String})
    ),
    events AS
    (
        SELECT tenant, origin
        FROM outcomes
        PREWHERE status = 'held' AND notification = ''
        WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND {notification:String} = '' AND notification_id = ''
    ),
    open AS
    (
        SELECT
            tenant, id AS key, 'held' AS status, substring(one.2, 17) AS reason, '' AS code, one.1 AS channel,
            toInt64OrZero(substring(one.2, 1, 15)) AS since_ms
        FROM
        (
            SELECT
                tenant, id,
                arrayFilter(p -> p.1 != '*' OR countIf(channel != '*') = 0, groupArrayIf((toString(channel), hold), is_open)) AS left
            FROM parts
            GROUP BY tenant, id
        )
        ARRAY JOIN left AS one
        UNION ALL
        SELECT
            tenant, cityHash64(subject), splitByChar('\t', state)[2], splitByChar('\t', state)[3],
            splitByChar('\t', state)[4], channel,
            toInt64OrZero(substring(state, 2, 15))
        FROM
        (
            SELECT l.tenant AS tenant, subject, max(l.state) AS state, toString(max(l.channel)) AS channel, max(l.notification) AS notification
            FROM latest AS l
            WHERE (l.tenant, l.subject) IN (SELECT tenant, subject FROM maybe)
            GROUP BY l.tenant, l.subject
        )
        WHERE startsWith(state, '1') AND ({notification:String} = '' OR notification = {notification:String})
        UNION ALL
        SELECT
            o.tenant, cityHash64(o.origin), 'held', argMax(o.reason, if(o.status = 'held', o.at_ms, -1)), '', '*',
            maxIf(o.at_ms, o.status = 'held')
        FROM outcomes AS o
        WHERE (o.tenant, o.hour) IN
            (SELECT tenant, hour FROM outcome_hours WHERE (tenant, id) IN (SELECT tenant, cityHash64(origin) FROM events))
            AND (o.tenant, o.origin) IN (SELECT tenant, origin FROM events)
        GROUP BY o.tenant, o.origin
        HAVING countIf(o.notification_id != '' OR o.status != 'held') = 0
    ),
    -- An array, since ClickHouse computes a table of a WITH clause at each of its uses.
    (
        SELECT groupArray((tenant, key, status, channel, since_ms))
        FROM
        (
            SELECT tenant, key, status, channel, since_ms
            FROM open
            WHERE ({channel:String} IN ('', channel) OR ({channel:String} = '(none)' AND channel = ''))
                AND ({status:String} = '' OR status = {status:String})
                AND ({reason:String} IN ('', reason) OR ({reason:String} = '(none)' AND reason = ''))
                AND ({code:String} IN ('', code) OR ({code:String} = '(none)' AND code = ''))
            ORDER BY since_ms DESC, key
            LIMIT {rows:UInt32}
        )
    ) AS shown
SELECT
    at, status, reason, rule, notification, category, channel, user, variant, locale, provider, code, attempt,
    notification_id, message_id, event_id, catalog_version, detail
FROM outcomes FINAL
WHERE at_ms IN (SELECT arrayJoin(shown.5))
    AND (tenant, hour) IN (SELECT one.1, toStartOfHour(fromUnixTimestamp64Milli(one.5, 'UTC')) FROM (SELECT arrayJoin(shown) AS one))
    AND (tenant, cityHash64(if(message_id != '', message_id, if(notification_id != '', notification_id, origin))), status, channel, at_ms)
        IN (SELECT one.1, one.2, one.3, one.4, one.5 FROM (SELECT arrayJoin(shown) AS one))
ORDER BY at_ms DESC, outcome_id
LIMIT 1 BY tenant, if(message_id != '', message_id, if(notification_id != '', notification_id, origin)), channel
LIMIT {rows:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
