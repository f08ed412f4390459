-- Reasons of suppression: which rule kept how many notifications back.
-- board: decisions 1
-- chart: table
-- drill: rows(status='suppressed', reason, notification, channel)
-- with: outcomes
SELECT reason, notification, channel, sum(part.outcomes) AS notifications, uniqCombined64Merge(part.users) AS users
FROM part
WHERE status = 'suppressed'
GROUP BY reason, notification, channel
ORDER BY notifications DESC, reason
LIMIT 200
SETTINGS do_not_merge_across_partitions_select_final = 1, optimize_move_to_prewhere_if_final = 1
