-- `engagement_hour` by day, for ranges of weeks: a day is computed anew when an hour of it was.
CREATE TABLE IF NOT EXISTS engagement_day
(
    tenant          LowCardinality(String),
    day             DateTime('UTC') CODEC(Delta, ZSTD(1)),
    notification    LowCardinality(String),
    category        LowCardinality(String),
    channel         LowCardinality(String),
    provider        LowCardinality(String),
    catalog_version LowCardinality(String),
    variant         LowCardinality(String),
    locale          LowCardinality(String),
    sent            UInt64 CODEC(T64, ZSTD(1)),
    delivered       UInt64 CODEC(T64, ZSTD(1)),
    opened          UInt64 CODEC(T64, ZSTD(1)),
    clicked         UInt64 CODEC(T64, ZSTD(1)),
    read            UInt64 CODEC(T64, ZSTD(1)),
    bounced         UInt64 CODEC(T64, ZSTD(1)),
    complained      UInt64 CODEC(T64, ZSTD(1)),
    unsubscribed    UInt64 CODEC(T64, ZSTD(1)),
    users           AggregateFunction(uniqCombined64, String) CODEC(ZSTD(1)),
    opened_users    AggregateFunction(uniqCombined64, String) CODEC(ZSTD(1)),
    clicked_users   AggregateFunction(uniqCombined64, String) CODEC(ZSTD(1)),
    hours_at        DateTime('UTC') CODEC(Delta, ZSTD(1)),
    refreshed_at    DateTime('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(refreshed_at)
PARTITION BY toYear(day)
ORDER BY (tenant, day, notification, category, channel, provider, catalog_version, variant, locale);
CREATE MATERIALIZED VIEW IF NOT EXISTS engagement_day_writer
REFRESH EVERY 1 MINUTE APPEND TO engagement_day AS
SELECT
    tenant, toStartOfDay(hour) AS day, notification, category, channel, provider, catalog_version, variant, locale,
    sum(e.sent) AS sent,
    sum(e.delivered) AS delivered,
    sum(e.opened) AS opened,
    sum(e.clicked) AS clicked,
    sum(e.read) AS read,
    sum(e.bounced) AS bounced,
    sum(e.complained) AS complained,
    sum(e.unsubscribed) AS unsubscribed,
    uniqCombined64MergeState(e.users) AS users,
    uniqCombined64MergeState(e.opened_users) AS opened_users,
    uniqCombined64MergeState(e.clicked_users) AS clicked_users,
    max(max(e.refreshed_at)) OVER (PARTITION BY day) AS hours_at,
    now('UTC') AS refreshed_at
FROM engagement_hour AS e FINAL
WHERE toStartOfDay(hour) IN
(
    SELECT hours.day
    FROM (SELECT toStartOfDay(hour) AS day, max(refreshed_at) AS at FROM engagement_hour GROUP BY day) AS hours
    LEFT JOIN (SELECT day, max(hours_at) AS at FROM engagement_day GROUP BY day) AS days ON days.day = hours.day
    WHERE hours.at != days.at OR hours.at >= now('UTC') - INTERVAL 2 MINUTE
)
GROUP BY tenant, day, notification, category, channel, provider, catalog_version, variant, locale
SETTINGS max_bytes_before_external_group_by = 1000000000;
