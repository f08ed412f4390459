-- Arms of experiments by day. In `outcomes_day` their users are read with those of everything else, which takes long.
CREATE TABLE IF NOT EXISTS arms_day
(
    tenant       LowCardinality(String),
    day          DateTime('UTC') CODEC(Delta, ZSTD(1)),
    notification LowCardinality(String),
    channel      LowCardinality(String),
    variant      LowCardinality(String),
    admitted     UInt64 CODEC(T64, ZSTD(1)),
    sent         UInt64 CODEC(T64, ZSTD(1)),
    holdout      UInt64 CODEC(T64, ZSTD(1)),
    users        AggregateFunction(uniqCombined64, String) CODEC(ZSTD(1)),
    hours_at     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    refreshed_at DateTime('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(refreshed_at)
PARTITION BY toYear(day)
ORDER BY (tenant, day, notification, channel, variant);
CREATE MATERIALIZED VIEW IF NOT EXISTS arms_day_writer
REFRESH EVERY 1 MINUTE APPEND TO arms_day AS
WITH touched AS
(
    SELECT hours.day AS day
    FROM
    (
        SELECT toStartOfDay(hour) AS day, max(refreshed_at) AS at
        FROM outcomes_hour
        WHERE variant != ''
        GROUP BY day
    ) AS hours
    LEFT JOIN (SELECT day, max(hours_at) AS at FROM arms_day GROUP BY day) AS days ON days.day = hours.day
    WHERE hours.at != days.at OR hours.at >= now('UTC') - INTERVAL 1 MINUTE
)
SELECT
    tenant, toStartOfDay(hour) AS day, notification, channel, variant,
    sumIf(h.outcomes, status = 'admitted') AS admitted,
    sumIf(h.outcomes, status = 'sent') AS sent,
    sumIf(h.outcomes, status = 'suppressed' AND reason = 'holdout') AS holdout,
    uniqCombined64MergeState(h.users) AS users,
    max(max(h.refreshed_at)) OVER (PARTITION BY day) AS hours_at,
    now('UTC') AS refreshed_at
FROM outcomes_hour AS h FINAL
WHERE toStartOfDay(hour) IN (SELECT day FROM touched) AND variant != ''
GROUP BY tenant, day, notification, channel, variant;
