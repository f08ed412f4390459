-- Audit (law 1): final outcomes by status and reason; doubled counts those whose message, notification or event has another.
WITH words AS
(
    SELECT
        if(message_id != '', message_id, if(notification_id != '', concat(notification_id, '/', channel), origin)) AS subject,
        groupUniqArray((outcome_id, status, reason)) AS said
    FROM outcomes
    WHERE tenant = {tenant:String} AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
        AND status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead')
    GROUP BY subject
)
SELECT word.2 AS status, word.3 AS reason, count() AS words, countIf(length(said) > 1) AS doubled
FROM words
ARRAY JOIN said AS word
GROUP BY status, reason
ORDER BY status, words DESC
