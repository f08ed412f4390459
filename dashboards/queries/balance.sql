-- Audit (law 1): final outcomes by status and reason; doubled counts those whose message, notification or event has another.
-- board: health 1
-- chart: table
-- drill: rows(status, reason)
WITH subjects AS
(
    SELECT
        if(message_id != '', message_id, if(notification_id != '', concat(notification_id, '/', channel), origin)) AS subject,
        groupUniqArray((outcome_id, status, reason)) AS finals
    FROM outcomes
    WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    AND ({notification:String} = '' OR notification = {notification:String}) AND ({channel:String} = '' OR channel = {channel:String})
        AND status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead', 'finished')
    GROUP BY subject
)
SELECT final.2 AS status, final.3 AS reason, count() AS outcomes, countIf(length(finals) > 1) AS doubled
FROM subjects
ARRAY JOIN finals AS final
GROUP BY status, reason
ORDER BY status, outcomes DESC
