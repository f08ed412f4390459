-- Open retries: messages whose last attempt failed and that will be tried again.
-- board: health 5
-- chart: table
-- drill: rows(channel, reason, status)
SELECT
    channel,
    l.status AS status,
    l.reason AS reason,
    l.code AS code,
    count() AS messages,
    max(l.attempt) AS most_attempts,
    fromUnixTimestamp64Milli(min(l.at_ms), 'UTC') AS oldest
FROM latest AS l FINAL
WHERE ({tenant:String} = '' OR l.tenant = {tenant:String}) AND startsWith(state, '1') AND (l.status = 'retrying' OR l.reason = 'retry_later')
    AND (tenant, subject) IN (SELECT tenant, subject FROM latest AS l FINAL WHERE ({tenant:String} = '' OR l.tenant = {tenant:String}) AND startsWith(state, '1'))
    AND ({notification:String} = '' OR l.notification = {notification:String})
    AND ({channel:String} = '' OR l.channel = {channel:String})
GROUP BY channel, status, reason, code
ORDER BY messages DESC, channel, status
LIMIT 100
