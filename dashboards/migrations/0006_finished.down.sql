-- Law 1 without the end of broadcasts, as in 0002.
CREATE OR REPLACE VIEW final_words AS
SELECT
    tenant,
    if(message_id != '', message_id, if(notification_id != '', concat(notification_id, '/', channel), origin)) AS subject,
    any(origin) AS event_origin,
    uniqExact(outcome_id) AS words,
    groupUniqArray(status) AS statuses
FROM outcomes
WHERE status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead')
GROUP BY tenant, subject;
