-- The life of one notification: every outcome of it, in order.
-- board: detail
-- chart: table
SELECT at, status, channel, reason, variant, provider, code, attempt, detail, latency_ms
FROM outcomes FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND notification_id = {notification_id:String}
    AND (tenant, hour) IN (SELECT tenant, hour FROM outcome_hours WHERE id = cityHash64({notification_id:String}))
ORDER BY at_ms, attempt, status
SETTINGS do_not_merge_across_partitions_select_final = 1
