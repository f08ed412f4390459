-- Audit (law 1): final outcomes by status and reason; doubled counts those of the last day whose message, notification or event has another.
-- board: health 1
-- chart: table
-- drill: rows(status, reason)
WITH
    (SELECT max(at_ms) - 86400000 FROM outcomes WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms < {to_ms:Int64}) AS last_day_ms,
    doubled AS
    (
        SELECT cityHash64(if(message_id != '', message_id, if(notification_id != '', concat(notification_id, '/', channel), origin))) AS subject
        FROM outcomes
        WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= greatest({from_ms:Int64}, last_day_ms) AND at_ms < {to_ms:Int64}
            AND ({notification:String} = '' OR notification = {notification:String})
            AND ({channel:String} = '' OR channel = {channel:String})
            AND status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead', 'finished')
        GROUP BY subject
        HAVING min(cityHash64(outcome_id)) != max(cityHash64(outcome_id))
    )
SELECT status, reason, sum(finals) AS outcomes, sum(others) AS doubled
FROM
(
    SELECT status, reason, sum(outcomes) AS finals, 0 AS others
    FROM {rollup:Identifier} FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
        AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
        AND status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead', 'finished')
    GROUP BY status, reason
    UNION ALL
    SELECT status, reason, 0 AS finals, uniqExact(outcome_id) AS others
    FROM outcomes
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= greatest({from_ms:Int64}, last_day_ms) AND at_ms < {to_ms:Int64}
        AND status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead', 'finished')
        AND cityHash64(if(message_id != '', message_id, if(notification_id != '', concat(notification_id, '/', channel), origin))) IN (SELECT subject FROM doubled)
    GROUP BY status, reason
)
GROUP BY status, reason
ORDER BY status, outcomes DESC, reason
SETTINGS do_not_merge_across_partitions_select_final = 1
