-- What may wait of each notification: its holds, by channel, and what ended them. The query `waiting` reads it, since
-- the ids of `latest` are text. Each column is a maximum, so that order, delay and copies change nothing.
CREATE TABLE IF NOT EXISTS hold_parts
(
    tenant       LowCardinality(String),
    id           UInt64,
    channel      LowCardinality(String),
    notification SimpleAggregateFunction(max, LowCardinality(String)),
    hold         SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    message      SimpleAggregateFunction(max, UInt8),
    decided      SimpleAggregateFunction(max, UInt8),
    last_ms      SimpleAggregateFunction(max, Int64)
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, id, channel);
CREATE MATERIALIZED VIEW IF NOT EXISTS hold_parts_writer TO hold_parts AS
SELECT
    tenant,
    cityHash64(notification_id) AS id,
    channel,
    notification,
    if(status = 'held' AND message_id = '', concat(leftPad(toString(greatest(at_ms, 0)), 15, '0'), '\t', reason), '') AS hold,
    message_id != '' AS message,
    message_id = '' AND status != 'held' AS decided,
    at_ms AS last_ms
FROM outcomes
WHERE notification_id != ''
    AND status IN ('held', 'admitted', 'suppressed', 'merged', 'cancelled', 'expired', 'dead', 'finished');
INSERT INTO hold_parts (tenant, id, channel, notification, hold, message, decided, last_ms)
SELECT
    tenant,
    cityHash64(notification_id) AS id,
    channel,
    notification,
    if(status = 'held' AND message_id = '', concat(leftPad(toString(greatest(at_ms, 0)), 15, '0'), '\t', reason), '') AS hold,
    message_id != '' AS message,
    message_id = '' AND status != 'held' AS decided,
    at_ms AS last_ms
FROM outcomes
WHERE notification_id != ''
    AND status IN ('held', 'admitted', 'suppressed', 'merged', 'cancelled', 'expired', 'dead', 'finished');
-- Of messages alone, the first figure of `state`: a question for open ones reads one byte a row.
ALTER TABLE latest ADD COLUMN IF NOT EXISTS message_stage SimpleAggregateFunction(max, UInt8)
    DEFAULT if(notification_id != '' AND position(subject, '/') = 0, toUInt8OrZero(substring(state, 1, 1)), 0);
ALTER TABLE latest MATERIALIZE COLUMN message_stage;
