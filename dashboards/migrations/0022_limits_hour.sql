-- Notifications that a limit suppressed or held, by the counter that was full: `outcomes` has it in the JSON of `detail`.
-- Each refresh computes the hours anew whose figures in `outcomes_hour` changed, so late rows and copies skew nothing.
CREATE TABLE IF NOT EXISTS limits_hour
(
    tenant       LowCardinality(String),
    hour         DateTime('UTC') CODEC(Delta, ZSTD(1)),
    notification LowCardinality(String),
    channel      LowCardinality(String),
    status       LowCardinality(String),
    reason       LowCardinality(String),
    counter      LowCardinality(String),
    `limit`      Int64 CODEC(T64, ZSTD(1)),
    outcomes     UInt64 CODEC(T64, ZSTD(1)),
    users        AggregateFunction(uniqCombined64, String) CODEC(ZSTD(1)),
    hours_at     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    refreshed_at DateTime('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(refreshed_at)
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, hour, notification, channel, status, reason, counter, `limit`);
CREATE MATERIALIZED VIEW IF NOT EXISTS limits_hour_writer
REFRESH EVERY 1 MINUTE APPEND TO limits_hour AS
WITH
    (SELECT mapFromArrays(groupArray(concat(tenant, '/', status)), groupArray(days)) FROM retention FINAL) AS kept,
    touched AS
    (
        SELECT counted.tenant AS tenant, counted.hour AS hour, counted.status AS status, counted.at AS at
        FROM
        (
            SELECT tenant, hour, status, max(refreshed_at) AS at
            FROM outcomes_hour
            WHERE reason IN ('limit', 'limit_hold')
            GROUP BY tenant, hour, status
        ) AS counted
        LEFT JOIN (SELECT tenant, hour, status, max(hours_at) AS at FROM limits_hour GROUP BY tenant, hour, status) AS known
            ON known.tenant = counted.tenant AND known.hour = counted.hour AND known.status = counted.status
        WHERE (counted.at != known.at OR counted.at >= now('UTC') - INTERVAL 1 MINUTE)
            AND ((if(mapContains(kept, concat(tenant, '/', status)), kept[concat(tenant, '/', status)], kept[concat('*/', status)]) AS days) = 0
                OR hour >= now('UTC') - toIntervalDay(days))
    )
SELECT
    tenant, hour, notification, channel, status, reason,
    JSONExtractString(detail, 'counter') AS counter,
    JSONExtractInt(detail, 'limit') AS `limit`,
    count() AS outcomes,
    uniqCombined64StateIf(user, user != '') AS users,
    max(at) AS hours_at,
    now('UTC') AS refreshed_at
FROM
(
    SELECT
        o.tenant AS tenant, o.hour AS hour, o.status AS status, any(o.notification) AS notification,
        any(o.channel) AS channel, any(o.reason) AS reason, any(o.detail) AS detail, any(o.user) AS user
    FROM outcomes AS o
    PREWHERE o.reason IN ('limit', 'limit_hold')
    WHERE o.hour IN (SELECT hour FROM touched) AND (o.tenant, o.hour, o.status) IN (SELECT tenant, hour, status FROM touched)
    GROUP BY tenant, hour, status, o.outcome_id
) AS once
INNER JOIN touched USING (tenant, hour, status)
GROUP BY tenant, hour, notification, channel, status, reason, counter, `limit`
SETTINGS max_bytes_before_external_group_by = 1000000000;
