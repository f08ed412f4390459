-- Lag of tracking: from the outcome to its row in ClickHouse, where the outcome tells when its record came in.
-- board: health 3
-- chart: lines(time, ms, quantile)
SELECT time, quantile, ms
FROM
(
    SELECT
        toDateTime(intDiv(at_ms, 1000 * {step_s:UInt32}) * {step_s:UInt32}, 'UTC') AS time,
        quantiles(0.5, 0.99)(greatest(0, toInt64(toUnixTimestamp(stored_at)) * 1000 - greatest(at_ms, received_ms))) AS found
    FROM outcomes
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
        AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND received_ms > 0
    GROUP BY time
)
ARRAY JOIN ['p50', 'p99'] AS quantile, [found[1], found[2]] AS ms
ORDER BY time, quantile
