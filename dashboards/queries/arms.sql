-- Arms of experiments: decisions by notification and arm; the holdout is suppressed.
-- board: decisions 7
-- chart: table
-- drill: rows(notification, variant)
WITH
    -- Whole days are read by the day, the rest of the range by shorter units.
    toDateTime(least(4294967295, intDiv({from_ms:Int64} + 86399999, 86400000) * 86400), 'UTC') AS first_day,
    toDateTime(least(4294967295, intDiv({to_ms:Int64}, 86400000) * 86400), 'UTC') AS end_day
SELECT
    notification,
    variant,
    sum(part.admitted) AS admitted,
    sum(part.sent) AS sent,
    sum(part.holdout) AS holdout,
    uniqCombined64Merge(part.users) AS users
FROM
(
    SELECT notification, variant, d.admitted AS admitted, d.sent AS sent, d.holdout AS holdout, d.users AS users
    FROM arms_day AS d FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND day >= first_day AND day < end_day
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
    UNION ALL
    SELECT
        notification, variant,
        if(status = 'admitted', o.outcomes, 0) AS admitted,
        if(status = 'sent', o.outcomes, 0) AS sent,
        if(status = 'suppressed' AND reason = 'holdout', o.outcomes, 0) AS holdout,
        o.users AS users
    FROM {rollup:Identifier} AS o FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
        AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({rollup_time:Identifier} < first_day OR {rollup_time:Identifier} >= end_day OR first_day >= end_day)
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
        AND variant != ''
) AS part
GROUP BY notification, variant
ORDER BY notification, variant
SETTINGS do_not_merge_across_partitions_select_final = 1
