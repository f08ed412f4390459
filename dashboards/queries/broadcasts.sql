-- Broadcasts: how far each is: users with an outcome, parts of key groups that have ended, and how it ended.
-- board: overview 9
-- chart: table
WITH
-- Broadcasts of the range. Their hours come from `outcome_hours`: nothing else of `outcomes` is read for them.
started AS
(
    SELECT tenant, notification_id
    FROM outcomes
    PREWHERE reason IN ('broadcast', 'uploading')
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND user = ''
        AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
),
broadcasts AS
(
    SELECT tenant, notification_id, any(event_source) AS source, any(event_id) AS event, min(at_ms) AS started_ms,
        argMax(if(status = 'held', if(reason IN ('paused', 'uploading'), reason, 'running'), status), (attempt, status != 'held')) AS state,
        maxIf(at_ms, status != 'held') AS ended_ms,
        anyIf(JSONExtractString(detail, 'segment'), status = 'held') AS segment
    FROM outcomes
    WHERE (tenant, hour) IN (SELECT tenant, hour FROM outcome_hours WHERE (tenant, id) IN (SELECT tenant, cityHash64(notification_id) FROM started))
        AND (tenant, notification_id) IN (SELECT tenant, notification_id FROM started) AND user = ''
    GROUP BY tenant, notification_id
),
hours AS
(
    SELECT tenant, hour FROM outcome_hours WHERE (tenant, id) IN (SELECT tenant, cityHash64(event) FROM broadcasts)
),
parts AS
(
    SELECT JSONExtractString(detail, 'broadcast') AS broadcast, uniqExact(outcome_id) AS parts
    FROM outcomes
    WHERE (tenant, hour) IN (SELECT tenant, hour FROM hours)
        AND (event_source, event_id) IN (SELECT source, event FROM broadcasts) AND user = '' AND JSONHas(detail, 'key_group')
    GROUP BY broadcast
),
users AS
(
    SELECT event_source, event_id, uniqExact(user) AS reached, uniqExactIf(user, status = 'admitted') AS admitted
    FROM outcomes
    WHERE (tenant, hour) IN (SELECT tenant, hour FROM hours)
        AND (event_source, event_id) IN (SELECT source, event FROM broadcasts) AND user != ''
    GROUP BY event_source, event_id
)
SELECT event, source, segment, state, fromUnixTimestamp64Milli(started_ms, 'UTC') AS started,
    if(ended_ms = 0, NULL, fromUnixTimestamp64Milli(ended_ms, 'UTC')) AS ended, reached, admitted, parts
FROM broadcasts
LEFT JOIN parts ON parts.broadcast = broadcasts.notification_id
LEFT JOIN users ON users.event_source = broadcasts.source AND users.event_id = broadcasts.event
ORDER BY started_ms DESC, event
LIMIT 200
