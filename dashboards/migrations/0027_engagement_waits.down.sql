-- Refreshes of engagement run beside what people ask, and read all receipts each time.
DROP VIEW IF EXISTS engagement_hour_writer;
CREATE MATERIALIZED VIEW IF NOT EXISTS engagement_hour_writer
REFRESH EVERY 1 MINUTE APPEND TO engagement_hour AS
WITH
    (SELECT toInt64(toUnixTimestamp(max(refreshed_at))) - 120 FROM engagement_hour) AS since,
    (SELECT mapFromArrays(groupArray(concat(tenant, '/', status)), groupArray(days)) FROM retention FINAL) AS kept,
    touched AS
    (
        SELECT toStartOfHour(minute) AS hour FROM outcomes_touched WHERE toInt64(toUnixTimestamp(stored_at)) >= since
        UNION DISTINCT
        SELECT hour FROM outcome_hours WHERE (tenant, id) IN
            (SELECT tenant, cityHash64(notification_id) FROM receipts WHERE toInt64(toUnixTimestamp(stored_at)) >= since AND message_id != '')
    ),
    (SELECT toInt64(toUnixTimestamp(min(hour))) * 1000 - 172800000 FROM touched) AS reported_since_ms
SELECT
    tenant, hour, notification, category, channel, provider, catalog_version, variant, locale,
    count() AS sent,
    countIf(is_delivered) AS delivered,
    countIf(is_opened) AS opened,
    countIf(is_clicked) AS clicked,
    countIf(is_read) AS read,
    countIf(is_bounced) AS bounced,
    countIf(is_complained) AS complained,
    countIf(is_unsubscribed) AS unsubscribed,
    uniqCombined64State(user) AS users,
    uniqCombined64StateIf(user, is_opened) AS opened_users,
    uniqCombined64StateIf(user, is_clicked) AS clicked_users,
    now('UTC') AS refreshed_at
FROM
(
    SELECT
        tenant, message_id, min(o.hour) AS hour, any(o.user) AS user, any(o.notification) AS notification,
        any(o.category) AS category, any(o.channel) AS channel, any(o.provider) AS provider,
        any(o.catalog_version) AS catalog_version, any(o.variant) AS variant, any(o.locale) AS locale
    FROM outcomes AS o
    WHERE o.status = 'sent' AND o.message_id != '' AND o.hour IN (SELECT hour FROM touched)
    GROUP BY tenant, message_id
) AS messages
LEFT JOIN
(
    SELECT
        tenant, message_id,
        max(status IN ('delivered', 'opened', 'clicked', 'read')) AS is_delivered,
        max(status IN ('opened', 'clicked')) AS is_opened,
        max(status = 'clicked') AS is_clicked,
        max(status = 'read') AS is_read,
        max(status = 'bounced') AS is_bounced,
        max(status = 'complained') AS is_complained,
        max(status = 'unsubscribed') AS is_unsubscribed
    FROM receipts
    WHERE message_id != '' AND at_ms >= reported_since_ms
    GROUP BY tenant, message_id
) AS reported USING (tenant, message_id)
GROUP BY tenant, hour, notification, category, channel, provider, catalog_version, variant, locale
HAVING (if(mapContains(kept, concat(tenant, '/sent')), kept[concat(tenant, '/sent')], kept['*/sent']) AS days) = 0
    OR hour >= now('UTC') - toIntervalDay(days)
SETTINGS max_bytes_before_external_group_by = 1000000000;
DROP VIEW IF EXISTS engagement_day_writer;
CREATE MATERIALIZED VIEW IF NOT EXISTS engagement_day_writer
REFRESH EVERY 1 MINUTE APPEND TO engagement_day AS
SELECT
    tenant, toStartOfDay(hour) AS day, notification, category, channel, provider, catalog_version, variant, locale,
    sum(e.sent) AS sent,
    sum(e.delivered) AS delivered,
    sum(e.opened) AS opened,
    sum(e.clicked) AS clicked,
    sum(e.read) AS read,
    sum(e.bounced) AS bounced,
    sum(e.complained) AS complained,
    sum(e.unsubscribed) AS unsubscribed,
    uniqCombined64MergeState(e.users) AS users,
    uniqCombined64MergeState(e.opened_users) AS opened_users,
    uniqCombined64MergeState(e.clicked_users) AS clicked_users,
    max(max(e.refreshed_at)) OVER (PARTITION BY day) AS hours_at,
    now('UTC') AS refreshed_at
FROM engagement_hour AS e FINAL
WHERE toStartOfDay(hour) IN
(
    SELECT hours.day
    FROM (SELECT toStartOfDay(hour) AS day, max(refreshed_at) AS at FROM engagement_hour GROUP BY day) AS hours
    LEFT JOIN (SELECT day, max(hours_at) AS at FROM engagement_day GROUP BY day) AS days ON days.day = hours.day
    WHERE hours.at != days.at OR hours.at >= now('UTC') - INTERVAL 2 MINUTE
)
GROUP BY tenant, day, notification, category, channel, provider, catalog_version, variant, locale
SETTINGS max_bytes_before_external_group_by = 1000000000;
