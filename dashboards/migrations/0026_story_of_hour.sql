-- `outcome_hours` names the notification that a user's hour is about, so that `tocsin why` of a user reads no row of others.
-- The table is emptied and filled again: nothing in it is lost, since all of it comes from `outcomes`.
ALTER TABLE outcome_hours ADD COLUMN IF NOT EXISTS story String CODEC(ZSTD(1)), MODIFY ORDER BY (tenant, id, hour, story);
DROP VIEW IF EXISTS outcome_hours_writer;
CREATE MATERIALIZED VIEW outcome_hours_writer TO outcome_hours AS
WITH arrayJoin(if(
    notification_id != '' AND status IN ('sent', 'retrying', 'delivered', 'bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'read'),
    [(notification_id, '')],
    arrayFilter(x -> x.1 != '',
    [
        (user, multiIf(notification_id != '', notification_id, origin != '', origin, user)),
        (notification_id, ''), (message_id, ''), (event_id, ''), (origin, ''),
        (if(status = 'merged', JSONExtractString(detail, 'into'), ''), notification_id)
    ]))) AS name
SELECT
    tenant,
    cityHash64(name.1) AS id,
    toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS hour,
    name.2 AS story
FROM outcomes;
TRUNCATE TABLE outcome_hours;
INSERT INTO outcome_hours
WITH arrayJoin(if(
    notification_id != '' AND status IN ('sent', 'retrying', 'delivered', 'bounced', 'complained', 'opened', 'clicked', 'unsubscribed', 'read'),
    [(notification_id, '')],
    arrayFilter(x -> x.1 != '',
    [
        (user, multiIf(notification_id != '', notification_id, origin != '', origin, user)),
        (notification_id, ''), (message_id, ''), (event_id, ''), (origin, ''),
        (if(status = 'merged', JSONExtractString(detail, 'into'), ''), notification_id)
    ]))) AS name
SELECT
    tenant,
    cityHash64(name.1) AS id,
    toStartOfHour(fromUnixTimestamp64Milli(at_ms, 'UTC')) AS hour,
    name.2 AS story
FROM outcomes
SETTINGS max_partitions_per_insert_block = 0;
