-- What became of messages after they were sent, one row a receipt, beside each other for one message. It names no user.
CREATE TABLE IF NOT EXISTS receipts
(
    tenant          LowCardinality(String),
    message_id      String CODEC(ZSTD(1)),
    notification_id String CODEC(ZSTD(1)),
    status          LowCardinality(String),
    at_ms           Int64 CODEC(Delta, ZSTD(1)),
    notification    LowCardinality(String),
    category        LowCardinality(String),
    channel         LowCardinality(String),
    provider        LowCardinality(String),
    reason          LowCardinality(String),
    code            LowCardinality(String),
    at              DateTime64(3, 'UTC') ALIAS fromUnixTimestamp64Milli(at_ms, 'UTC'),
    stored_at       DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_stored stored_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Milli(at_ms, 'UTC'))
ORDER BY (tenant, message_id, notification_id, status, at_ms);
CREATE MATERIALIZED VIEW IF NOT EXISTS receipts_writer TO receipts AS
SELECT
    tenant, message_id, notification_id, status, at_ms, notification, category, channel, provider, reason, code
FROM outcomes
WHERE status IN ('delivered', 'bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'read');
INSERT INTO receipts
(
    tenant, message_id, notification_id, status, at_ms, notification, category, channel, provider, reason, code
)
SELECT
    tenant, message_id, notification_id, status, at_ms, notification, category, channel, provider, reason, code
FROM outcomes
WHERE status IN ('delivered', 'bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'read')
SETTINGS max_partitions_per_insert_block = 0;
