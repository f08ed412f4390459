-- Outcomes by month again, as 0001 to 0007 have them. Locales and replays are lost, no row is.
CREATE TABLE IF NOT EXISTS outcomes_moving
(
    outcome_id          String,
    status              LowCardinality(String),
    tenant              LowCardinality(String),
    user                String,
    notification_id     String,
    message_id          String,
    event_id            String,
    event_source        LowCardinality(String),
    event_type          LowCardinality(String),
    event_time_ms       Int64,
    origin              String,
    notification        LowCardinality(String),
    category            LowCardinality(String),
    channel             LowCardinality(String) DEFAULT '*',
    target              String,
    platform            LowCardinality(String),
    reason              LowCardinality(String),
    rule                LowCardinality(String) DEFAULT '',
    detail              String DEFAULT '{}',
    priority            LowCardinality(String),
    catalog_version     LowCardinality(String),
    variant             LowCardinality(String) DEFAULT '',
    provider            LowCardinality(String),
    provider_message_id String,
    code                LowCardinality(String),
    attempt             UInt16,
    generation          UInt16,
    at_ms               Int64,
    received_ms         Int64,
    latency_ms          Int64 DEFAULT -1,
    provider_ms         Int64 DEFAULT -1,
    at                  DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(at_ms, 'UTC'),
    event_time          DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(event_time_ms, 'UTC'),
    INDEX by_user user TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_message message_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_notification notification_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_origin origin TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Milli(at_ms, 'UTC'))
ORDER BY (tenant, notification, at_ms, outcome_id);
-- unless: SELECT partition_key LIKE 'toYYYYMM(%' FROM system.tables WHERE database = currentDatabase() AND name = 'outcomes'
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
