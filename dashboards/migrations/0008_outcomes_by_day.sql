-- Outcomes by day, in the order of hours. Rows of a notification lie side by side, so that their ids compress.
-- The rows there are move into the new table; writers go on meanwhile, since the tables change places at once.
CREATE TABLE IF NOT EXISTS outcomes_moving
(
    outcome_id          String CODEC(ZSTD(1)),
    status              LowCardinality(String),
    tenant              LowCardinality(String),
    user                String CODEC(ZSTD(1)),
    notification_id     String CODEC(ZSTD(1)),
    message_id          String CODEC(ZSTD(1)),
    event_id            String CODEC(ZSTD(1)),
    event_source        LowCardinality(String),
    event_type          LowCardinality(String),
    event_time_ms       Int64 CODEC(Delta, ZSTD(1)),
    origin              String CODEC(ZSTD(1)),
    notification        LowCardinality(String),
    category            LowCardinality(String),
    channel             LowCardinality(String) DEFAULT '*',
    target              String CODEC(ZSTD(1)),
    platform            LowCardinality(String),
    reason              LowCardinality(String),
    rule                LowCardinality(String),
    detail              String DEFAULT '{}' CODEC(ZSTD(1)),
    priority            LowCardinality(String),
    catalog_version     LowCardinality(String),
    variant             LowCardinality(String),
    locale              LowCardinality(String),
    provider            LowCardinality(String),
    provider_message_id String CODEC(ZSTD(1)),
    code                LowCardinality(String),
    attempt             UInt16 CODEC(T64, ZSTD(1)),
    generation          UInt16 CODEC(T64, ZSTD(1)),
    at_ms               Int64 CODEC(Delta, ZSTD(1)),
    received_ms         Int64 CODEC(Delta, ZSTD(1)),
    latency_ms          Int64 DEFAULT -1 CODEC(T64, ZSTD(1)),
    provider_ms         Int64 DEFAULT -1 CODEC(T64, ZSTD(1)),
    replay              LowCardinality(String),
    replay_of           String CODEC(ZSTD(1)),
    at                  DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(at_ms, 'UTC') CODEC(Delta, ZSTD(1)),
    event_time          DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(event_time_ms, 'UTC') CODEC(Delta, ZSTD(1)),
    hour                DateTime('UTC') MATERIALIZED toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) CODEC(Delta, ZSTD(1)),
    stored_at           DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_time at_ms TYPE minmax GRANULARITY 1,
    INDEX by_stored stored_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Milli(at_ms, 'UTC'))
PRIMARY KEY (tenant, hour, notification_id)
ORDER BY (tenant, hour, notification_id, message_id, at_ms, outcome_id);
-- unless: SELECT partition_key LIKE 'toYYYYMMDD(%' FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes'
EXCHANGE TABLES outcomes AND outcomes_moving;
INSERT INTO outcomes
(
    outcome_id, status, tenant, user, notification_id, message_id, event_id, event_source, event_type,
    event_time_ms, origin, notification, category, channel, target, platform, reason, rule, detail,
    priority, catalog_version, variant, provider, provider_message_id, code, attempt, generation,
    at_ms, received_ms, latency_ms, provider_ms
)
SELECT
    outcome_id, status, tenant, user, notification_id, message_id, event_id, event_source, event_type,
    event_time_ms, origin, notification, category, channel, target, platform, reason, rule, detail,
    priority, catalog_version, variant, provider, provider_message_id, code, attempt, generation,
    at_ms, received_ms, latency_ms, provider_ms
FROM outcomes_moving
SETTINGS max_partitions_per_insert_block = 0;
DROP TABLE IF EXISTS outcomes_moving;
