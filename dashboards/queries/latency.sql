-- Latency of sent messages: milliseconds from the event in Kafka to the provider's answer.
-- board: delivery 2
-- chart: table
-- drill: rows(status='sent', channel)
SELECT
    channel,
    count() AS sent,
    quantile(0.5)(latency_ms) AS p50_ms,
    quantile(0.9)(latency_ms) AS p90_ms,
    quantile(0.99)(latency_ms) AS p99_ms,
    max(latency_ms) AS max_ms,
    quantile(0.5)(provider_ms) AS provider_p50_ms
FROM outcomes FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    AND ({notification:String} = '' OR notification = {notification:String}) AND ({channel:String} = '' OR channel = {channel:String})
    AND status = 'sent' AND latency_ms >= 0
GROUP BY channel
ORDER BY channel
