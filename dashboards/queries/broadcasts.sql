-- Broadcasts: how far each is: users with an outcome, parts of key groups that have ended, and how it ended.
-- board: overview 9
-- chart: table
WITH broadcasts AS
(
    SELECT notification_id, any(event_source) AS source, any(event_id) AS event, min(at_ms) AS started_ms,
        argMax(if(status = 'held', if(reason = 'paused', 'paused', 'running'), status), (attempt, status != 'held')) AS state,
        maxIf(at_ms, status != 'held') AS ended_ms,
        anyIf(JSONExtractString(detail, 'segment'), status = 'held') AS segment
    FROM outcomes
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND user = '' AND notification_id IN
    (
        SELECT notification_id FROM outcomes
        WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND user = '' AND reason = 'broadcast'
            AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    )
    GROUP BY notification_id
),
parts AS
(
    SELECT JSONExtractString(detail, 'broadcast') AS broadcast, uniqExact(outcome_id) AS parts
    FROM outcomes
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND user = '' AND JSONHas(detail, 'key_group')
    GROUP BY broadcast
),
users AS
(
    SELECT event_source, event_id, uniqExact(user) AS reached, uniqExactIf(user, status = 'admitted') AS admitted
    FROM outcomes
    WHERE (SELECT count() FROM broadcasts) > 0 AND at_ms >= (SELECT min(started_ms) FROM broadcasts)
        AND ({tenant:String} = '' OR tenant = {tenant:String}) AND user != ''
        AND (event_source, event_id) IN (SELECT source, event FROM broadcasts)
    GROUP BY event_source, event_id
)
SELECT event, source, segment, state, fromUnixTimestamp64Milli(started_ms, 'UTC') AS started,
    if(ended_ms = 0, NULL, fromUnixTimestamp64Milli(ended_ms, 'UTC')) AS ended, reached, admitted, parts
FROM broadcasts
LEFT JOIN parts ON parts.broadcast = broadcasts.notification_id
LEFT JOIN users ON users.event_source = broadcasts.source AND users.event_id = broadcasts.event
ORDER BY started_ms DESC, event
LIMIT 200
