-- What became of messages after they were sent, one row a receipt, beside each other for one message.
CREATE TABLE IF NOT EXISTS receipts
(
    tenant              LowCardinality(String),
    user                String CODEC(ZSTD(1)),
    notification_id     String CODEC(ZSTD(1)),
    message_id          String CODEC(ZSTD(1)),
    status              LowCardinality(String),
    at_ms               Int64 CODEC(Delta, ZSTD(1)),
    received_ms         Int64 CODEC(Delta, ZSTD(1)),
    notification        LowCardinality(String),
    category            LowCardinality(String),
    channel             LowCardinality(String),
    target              String CODEC(ZSTD(1)),
    provider            LowCardinality(String),
    provider_message_id String CODEC(ZSTD(1)),
    code                LowCardinality(String),
    reason              LowCardinality(String),
    event_id            String CODEC(ZSTD(1)),
    outcome_id          String CODEC(ZSTD(1)),
    at                  DateTime64(3, 'UTC') MATERIALIZED fromUnixTimestamp64Milli(at_ms, 'UTC') CODEC(Delta, ZSTD(1)),
    stored_at           DateTime('UTC') MATERIALIZED now('UTC') CODEC(Delta, ZSTD(1)),
    INDEX by_stored stored_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Milli(at_ms, 'UTC'))
ORDER BY (tenant, message_id, status, at_ms, outcome_id);
CREATE MATERIALIZED VIEW IF NOT EXISTS receipts_writer TO receipts AS
SELECT
    tenant, user, notification_id, message_id, status, at_ms, received_ms, notification, category, channel, target, provider,
    provider_message_id, code, reason, event_id, outcome_id
FROM outcomes
WHERE status IN ('delivered', 'bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'read', 'resubscribed', 'unblocked');
INSERT INTO receipts
(
    tenant, user, notification_id, message_id, status, at_ms, received_ms, notification, category, channel, target, provider,
    provider_message_id, code, reason, event_id, outcome_id
)
SELECT
    tenant, user, notification_id, message_id, status, at_ms, received_ms, notification, category, channel, target, provider,
    provider_message_id, code, reason, event_id, outcome_id
FROM outcomes
WHERE status IN ('delivered', 'bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'read', 'resubscribed', 'unblocked')
SETTINGS max_partitions_per_insert_block = 0;
