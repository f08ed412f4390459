-- The notification log: one row an outcome. Copies (after a crash) are byte-equal and fall together by outcome_id.
CREATE TABLE IF NOT EXISTS outcomes
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
    detail              String DEFAULT '{}',
    priority            LowCardinality(String),
    catalog_version     LowCardinality(String),
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
