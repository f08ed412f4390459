-- Limits: notifications that a limit suppressed or held, by the counter that was full.
-- board: decisions 5
-- chart: table
-- drill: rows(reason, notification, status)
WITH
    -- Whole hours are read from the rollup, what the range has of others from the outcomes themselves.
    toStartOfHour(toDateTime(least(4294960000, intDiv(greatest(0, {from_ms:Int64}) + 3599999, 1000)), 'UTC')) AS first_hour,
    toStartOfHour(toDateTime(least(4294967295, intDiv({to_ms:Int64}, 1000)), 'UTC')) AS end_hour
SELECT
    counter,
    `limit`,
    reason,
    status,
    notification,
    sum(part.outcomes) AS notifications,
    uniqCombined64Merge(part.users) AS users
FROM
(
    SELECT counter, `limit`, reason, status, notification, l.outcomes AS outcomes, l.users AS users
    FROM limits_hour AS l FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND hour >= first_hour AND hour < end_hour
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
    UNION ALL
    SELECT
        JSONExtractString(o.detail, 'counter') AS counter,
        JSONExtractInt(o.detail, 'limit') AS `limit`,
        reason, status, notification,
        uniqExact(cityHash64(o.outcome_id)) AS outcomes,
        uniqCombined64StateIf(o.user, o.user != '') AS users
    FROM outcomes AS o
    PREWHERE reason IN ('limit', 'limit_hold')
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
        AND hour IN
        (
            toStartOfHour(toDateTime(least(4294967295, intDiv(greatest(0, {from_ms:Int64}), 1000)), 'UTC')),
            end_hour
        )
        AND NOT (hour >= first_hour AND hour < end_hour)
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
    GROUP BY counter, `limit`, reason, status, notification
) AS part
GROUP BY counter, `limit`, reason, status, notification
ORDER BY notifications DESC, counter, `limit`, notification, status
LIMIT 100
SETTINGS do_not_merge_across_partitions_select_final = 1
