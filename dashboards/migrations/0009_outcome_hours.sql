-- The hours in which an id has outcomes: with them `why` reads two or three ranges of `outcomes`, whatever its size.
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
SELECT DISTINCT
    tenant,
    arrayJoin(arrayMap(x -> cityHash64(x), arrayFilter(x -> x != '',
        [user, notification_id, message_id, event_id, origin, if(status = 'merged', JSONExtractString(detail, 'into'), '')]))) AS id,
    toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS hour
FROM outcomes;
INSERT INTO outcome_hours
SELECT DISTINCT
    tenant,
    arrayJoin(arrayMap(x -> cityHash64(x), arrayFilter(x -> x != '',
        [user, notification_id, message_id, event_id, origin, if(status = 'merged', JSONExtractString(detail, 'into'), '')]))) AS id,
    toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS hour
FROM outcomes
SETTINGS max_partitions_per_insert_block = 0;
