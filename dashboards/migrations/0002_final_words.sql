-- Law 1: exactly one final word for each notification, channel and target; `words` other than 1 is a fault.
CREATE VIEW IF NOT EXISTS final_words AS
SELECT
    tenant,
    if(message_id != '', message_id, if(notification_id != '', concat(notification_id, '/', channel), origin)) AS subject,
    any(origin) AS event_origin,
    uniqExact(outcome_id) AS words,
    groupUniqArray(status) AS statuses
FROM outcomes
WHERE status IN ('suppressed', 'merged', 'cancelled', 'expired', 'sent', 'dead')
GROUP BY tenant, subject;
