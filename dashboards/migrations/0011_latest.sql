-- The present state of each message; before routing, of each notification and channel; of an event that became
-- neither, of its origin. Each column is a maximum or minimum, so that order, delay and copies change nothing. `state`
-- is text that sorts as states follow each other: stage, time, attempt, then status, reason and code. (A tuple would
-- say the same, but FINAL of ClickHouse 26.5 takes another maximum of tuples than GROUP BY.)
CREATE TABLE IF NOT EXISTS latest
(
    tenant          LowCardinality(String),
    subject         String CODEC(ZSTD(1)),
    state           SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    notification_id SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    user            SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    notification    SimpleAggregateFunction(max, LowCardinality(String)),
    category        SimpleAggregateFunction(max, LowCardinality(String)),
    channel         SimpleAggregateFunction(max, LowCardinality(String)),
    provider        SimpleAggregateFunction(max, LowCardinality(String)),
    variant         SimpleAggregateFunction(max, LowCardinality(String)),
    locale          SimpleAggregateFunction(max, LowCardinality(String)),
    first_ms        SimpleAggregateFunction(min, Int64),
    last_ms         SimpleAggregateFunction(max, Int64),
    message_id      String ALIAS if(position(subject, '/') = 0, subject, ''),
    status          String ALIAS splitByChar('\t', state)[2],
    reason          String ALIAS splitByChar('\t', state)[3],
    code            String ALIAS splitByChar('\t', state)[4],
    attempt         UInt16 ALIAS toUInt16OrZero(substring(state, 17, 5)),
    at_ms           Int64 ALIAS toInt64OrZero(substring(state, 2, 15)),
    INDEX by_last last_ms TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree
ORDER BY (tenant, subject);
CREATE MATERIALIZED VIEW IF NOT EXISTS latest_writer TO latest AS
SELECT
    tenant,
    if(message_id != '', message_id, if(notification_id != '', concat(notification_id, '/', channel), origin)) AS subject,
    concat(
        toString(multiIf(
            status IN ('delivered', 'bounced'), 3,
            status IN ('opened', 'read'), 4,
            status = 'clicked', 5,
            status IN ('unsubscribed', 'complained'), 6,
            status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead', 'finished'), 2,
            1)),
        leftPad(toString(greatest(at_ms, 0)), 15, '0'), leftPad(toString(attempt), 5, '0'),
        '\t', status, '\t', reason, '\t', code
    ) AS state,
    notification_id,
    user,
    notification,
    category,
    channel,
    if(status = 'sent', provider, '') AS provider,
    if(status IN ('admitted', 'sent'), variant, '') AS variant,
    if(status IN ('admitted', 'sent'), locale, '') AS locale,
    at_ms AS first_ms,
    at_ms AS last_ms
FROM outcomes
WHERE status NOT IN ('resubscribed', 'unblocked');
INSERT INTO latest
(
    tenant, subject, state, notification_id, user, notification, category, channel, provider, variant, locale, first_ms, last_ms
)
SELECT
    tenant,
    if(message_id != '', message_id, if(notification_id != '', concat(notification_id, '/', channel), origin)) AS subject,
    concat(
        toString(multiIf(
            status IN ('delivered', 'bounced'), 3,
            status IN ('opened', 'read'), 4,
            status = 'clicked', 5,
            status IN ('unsubscribed', 'complained'), 6,
            status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead', 'finished'), 2,
            1)),
        leftPad(toString(greatest(at_ms, 0)), 15, '0'), leftPad(toString(attempt), 5, '0'),
        '\t', status, '\t', reason, '\t', code
    ) AS state,
    notification_id,
    user,
    notification,
    category,
    channel,
    if(status = 'sent', provider, '') AS provider,
    if(status IN ('admitted', 'sent'), variant, '') AS variant,
    if(status IN ('admitted', 'sent'), locale, '') AS locale,
    at_ms AS first_ms,
    at_ms AS last_ms
FROM outcomes
WHERE status NOT IN ('resubscribed', 'unblocked');
