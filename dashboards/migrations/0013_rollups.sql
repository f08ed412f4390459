-- Rollups by minute, hour and day. Each refresh computes the minutes, hours and days anew that rows were stored of
-- since the one before, from `outcomes FINAL`: so late rows and copies skew nothing. A row replaces its older self.
-- An insert shows its rows a moment after its `now()`; the 15 s cover it. The writer touches rows of a slower one again.
CREATE TABLE IF NOT EXISTS outcomes_touched
(
    minute          DateTime('UTC') CODEC(Delta, ZSTD(1)),
    stored_at SimpleAggregateFunction(max, DateTime('UTC')),
    INDEX by_stored stored_at TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree
ORDER BY minute
TTL stored_at + INTERVAL 1 DAY;
CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_touched_writer TO outcomes_touched AS
SELECT toStartOfMinute(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS minute, now('UTC') AS stored_at
FROM outcomes
GROUP BY minute;
INSERT INTO outcomes_touched
SELECT toStartOfMinute(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS minute, now('UTC') AS stored_at
FROM outcomes
GROUP BY minute;
CREATE TABLE IF NOT EXISTS outcomes_minute
(
    tenant          LowCardinality(String),
    minute          DateTime('UTC') CODEC(Delta, ZSTD(1)),
    notification    LowCardinality(String),
    category        LowCardinality(String),
    channel         LowCardinality(String),
    status          LowCardinality(String),
    reason          LowCardinality(String),
    rule            LowCardinality(String),
    provider        LowCardinality(String),
    code            LowCardinality(String),
    variant         LowCardinality(String),
    catalog_version LowCardinality(String),
    outcomes        UInt64 CODEC(T64, ZSTD(1)),
    users           AggregateFunction(uniqCombined64, String) CODEC(ZSTD(1)),
    latencies       AggregateFunction(quantilesExact(0.5, 0.9, 0.95, 0.99), UInt32) CODEC(ZSTD(1)),
    provider_ms     AggregateFunction(quantilesExact(0.5, 0.9, 0.95, 0.99), UInt32) CODEC(ZSTD(1)),
    refreshed_at    DateTime('UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_refreshed refreshed_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(refreshed_at)
PARTITION BY toYYYYMMDD(minute)
ORDER BY (tenant, minute, notification, category, channel, status, reason, rule, provider, code, variant, catalog_version)
TTL refreshed_at + INTERVAL 7 DAY;
CREATE TABLE IF NOT EXISTS outcomes_hour
(
    tenant          LowCardinality(String),
    hour            DateTime('UTC') CODEC(Delta, ZSTD(1)),
    notification    LowCardinality(String),
    category        LowCardinality(String),
    channel         LowCardinality(String),
    status          LowCardinality(String),
    reason          LowCardinality(String),
    rule            LowCardinality(String),
    provider        LowCardinality(String),
    code            LowCardinality(String),
    variant         LowCardinality(String),
    catalog_version LowCardinality(String),
    outcomes        UInt64 CODEC(T64, ZSTD(1)),
    users           AggregateFunction(uniqCombined64, String) CODEC(ZSTD(1)),
    latencies       AggregateFunction(quantilesExact(0.5, 0.9, 0.95, 0.99), UInt32) CODEC(ZSTD(1)),
    provider_ms     AggregateFunction(quantilesExact(0.5, 0.9, 0.95, 0.99), UInt32) CODEC(ZSTD(1)),
    refreshed_at    DateTime('UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_refreshed refreshed_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(refreshed_at)
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, hour, notification, category, channel, status, reason, rule, provider, code, variant, catalog_version);
CREATE TABLE IF NOT EXISTS outcomes_day
(
    tenant          LowCardinality(String),
    day             DateTime('UTC') CODEC(Delta, ZSTD(1)),
    notification    LowCardinality(String),
    category        LowCardinality(String),
    channel         LowCardinality(String),
    status          LowCardinality(String),
    reason          LowCardinality(String),
    rule            LowCardinality(String),
    provider        LowCardinality(String),
    code            LowCardinality(String),
    variant         LowCardinality(String),
    catalog_version LowCardinality(String),
    outcomes        UInt64 CODEC(T64, ZSTD(1)),
    users           AggregateFunction(uniqCombined64, String) CODEC(ZSTD(1)),
    latencies       AggregateFunction(quantilesExact(0.5, 0.9, 0.95, 0.99), UInt32) CODEC(ZSTD(1)),
    provider_ms     AggregateFunction(quantilesExact(0.5, 0.9, 0.95, 0.99), UInt32) CODEC(ZSTD(1)),
    hours_at        DateTime('UTC') CODEC(Delta, ZSTD(1)),
    refreshed_at    DateTime('UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_refreshed refreshed_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(refreshed_at)
PARTITION BY toYear(day)
ORDER BY (tenant, day, notification, category, channel, status, reason, rule, provider, code, variant, catalog_version);
CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_minute_writer
REFRESH EVERY 10 SECOND APPEND TO outcomes_minute AS
WITH
    (SELECT toInt64(toUnixTimestamp(max(refreshed_at))) - 15 FROM outcomes_minute) AS since,
    (SELECT mapFromArrays(groupArray(concat(tenant, '/', status)), groupArray(days)) FROM retention FINAL) AS kept
SELECT
    tenant,
    toStartOfMinute(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS minute,
    notification, category, channel, status, reason, rule, provider, code, variant, catalog_version,
    count() AS outcomes,
    uniqCombined64StateIf(user, user != '') AS users,
    quantilesExactStateIf(0.5, 0.9, 0.95, 0.99)(toUInt32(least(latency_ms, 4294967295)), latency_ms >= 0 AND status = 'sent') AS latencies,
    quantilesExactStateIf(0.5, 0.9, 0.95, 0.99)(toUInt32(least(provider_ms, 4294967295)), provider_ms >= 0) AS provider_ms,
    now('UTC') AS refreshed_at
FROM outcomes FINAL
WHERE hour IN (SELECT toStartOfHour(minute) FROM outcomes_touched WHERE toInt64(toUnixTimestamp(stored_at)) >= since)
    AND toStartOfMinute(fromUnixTimestamp64Milli(at_ms, 'UTC')) IN (SELECT toStartOfMinute(minute) FROM outcomes_touched WHERE toInt64(toUnixTimestamp(stored_at)) >= since)
GROUP BY tenant, minute, notification, category, channel, status, reason, rule, provider, code, variant, catalog_version
HAVING (if(mapContains(kept, concat(tenant, '/', status)), kept[concat(tenant, '/', status)], kept[concat('*/', status)]) AS days) = 0
    OR minute >= now('UTC') - toIntervalDay(days)
SETTINGS do_not_merge_across_partitions_select_final = 1, max_bytes_before_external_group_by = 1000000000;
CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_hour_writer
REFRESH EVERY 10 SECOND APPEND TO outcomes_hour AS
WITH
    (SELECT toInt64(toUnixTimestamp(max(refreshed_at))) - 15 FROM outcomes_hour) AS since,
    (SELECT mapFromArrays(groupArray(concat(tenant, '/', status)), groupArray(days)) FROM retention FINAL) AS kept
SELECT
    tenant,
    toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS hour,
    notification, category, channel, status, reason, rule, provider, code, variant, catalog_version,
    count() AS outcomes,
    uniqCombined64StateIf(user, user != '') AS users,
    quantilesExactStateIf(0.5, 0.9, 0.95, 0.99)(toUInt32(least(latency_ms, 4294967295)), latency_ms >= 0 AND status = 'sent') AS latencies,
    quantilesExactStateIf(0.5, 0.9, 0.95, 0.99)(toUInt32(least(provider_ms, 4294967295)), provider_ms >= 0) AS provider_ms,
    now('UTC') AS refreshed_at
FROM outcomes FINAL
WHERE hour IN (SELECT toStartOfHour(minute) FROM outcomes_touched WHERE toInt64(toUnixTimestamp(stored_at)) >= since)
GROUP BY tenant, hour, notification, category, channel, status, reason, rule, provider, code, variant, catalog_version
HAVING (if(mapContains(kept, concat(tenant, '/', status)), kept[concat(tenant, '/', status)], kept[concat('*/', status)]) AS days) = 0
    OR hour >= now('UTC') - toIntervalDay(days)
SETTINGS do_not_merge_across_partitions_select_final = 1, max_bytes_before_external_group_by = 1000000000;
CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_day_writer
REFRESH EVERY 10 SECOND APPEND TO outcomes_day AS
SELECT
    tenant,
    toStartOfDay(hour) AS day,
    notification, category, channel, status, reason, rule, provider, code, variant, catalog_version,
    sum(h.outcomes) AS outcomes,
    uniqCombined64MergeState(h.users) AS users,
    quantilesExactMergeState(0.5, 0.9, 0.95, 0.99)(h.latencies) AS latencies,
    quantilesExactMergeState(0.5, 0.9, 0.95, 0.99)(h.provider_ms) AS provider_ms,
    max(max(h.refreshed_at)) OVER (PARTITION BY day) AS hours_at,
    now('UTC') AS refreshed_at
FROM outcomes_hour AS h FINAL
WHERE toStartOfDay(hour) IN
(
    SELECT hours.day
    FROM (SELECT toStartOfDay(hour) AS day, max(refreshed_at) AS at FROM outcomes_hour GROUP BY day) AS hours
    LEFT JOIN (SELECT day, max(hours_at) AS at FROM outcomes_day GROUP BY day) AS days ON days.day = hours.day
    WHERE hours.at != days.at OR hours.at >= now('UTC') - INTERVAL 30 SECOND
)
GROUP BY tenant, day, notification, category, channel, status, reason, rule, provider, code, variant, catalog_version;
