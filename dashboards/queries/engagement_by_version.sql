-- Engagement by template version: versions of the catalog, with which messages were decided.
-- board: engagement 3
-- chart: table
-- drill: rows(catalog_version, notification)
-- with: engagement
SELECT
    catalog_version, notification,
    sum(part.sent) AS messages,
    uniqCombined64Merge(part.users) AS users,
    uniqCombined64Merge(part.opened_users) AS opened_users,
    sum(part.delivered) / messages AS delivered_ratio,
    sum(part.opened) / messages AS opened_ratio,
    sum(part.clicked) / messages AS clicked_ratio,
    sum(part.read) / messages AS read_ratio,
    sum(part.bounced) / messages AS bounced_ratio,
    sum(part.complained) / messages AS complained_ratio,
    sum(part.unsubscribed) / messages AS unsubscribed_ratio
FROM part
GROUP BY catalog_version, notification
ORDER BY messages DESC, catalog_version, notification
LIMIT 200
SETTINGS do_not_merge_across_partitions_select_final = 1
