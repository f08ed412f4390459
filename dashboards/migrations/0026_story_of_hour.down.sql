-- Hours do not name notifications again. The table is made anew: all of it comes from `outcomes`.
DROP VIEW IF EXISTS outcome_hours_writer;
DROP TABLE IF EXISTS outcome_hours;
CREATE TABLE IF NOT EXISTS outcome_hours
(
    tenant LowCardinality(String),
    id     UInt64,
    hour   DateTime('UTC') CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (tenant, id, hour);
CREATE MATERIALIZED VIEW IF NOT EXISTS outcome_hours_writer TO outcome_hours AS
SELECT
    tenant,
    arrayJoin(arrayMap(x -> cityHash64(x), if(
        notification_id != '' AND status IN ('sent', 'retrying', 'delivered', 'bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'read'),
        [notification_id],
        arrayFilter(x -> x != '',
            [user, notification_id, message_id, event_id, origin, if(status = 'merged', JSONExtractString(detail, 'into'), '')])
    ))) AS id,
    toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS hour
FROM outcomes;
INSERT INTO outcome_hours
SELECT
    tenant,
    arrayJoin(arrayMap(x -> cityHash64(x), if(
        notification_id != '' AND status IN ('sent', 'retrying', 'delivered', 'bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'read'),
        [notification_id],
        arrayFilter(x -> x != '',
            [user, notification_id, message_id, event_id, origin, if(status = 'merged', JSONExtractString(detail, 'into'), '')])
    ))) AS id,
    toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS hour
FROM outcomes
SETTINGS max_partitions_per_insert_block = 0;
