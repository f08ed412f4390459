-- The life of one notification: every outcome of it, in order.
-- board: detail
-- chart: table
SELECT at, status, channel, reason, variant, provider, code, attempt, detail, latency_ms
FROM outcomes FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND notification_id = {notification_id:String}
ORDER BY at_ms, attempt, status
