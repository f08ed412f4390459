-- Open retries: messages whose last attempt failed and that will be tried again.
-- board: health 5
-- chart: table
-- drill: rows(channel, reason, status)
SELECT
    channel,
    state.status AS status,
    state.reason AS reason,
    state.code AS code,
    count() AS messages,
    max(attempts) AS most_attempts,
    fromUnixTimestamp64Milli(min(state.at_ms), 'UTC') AS oldest
FROM latest AS l FINAL
WHERE ({tenant:String} = '' OR l.tenant = {tenant:String}) AND state.stage = 1 AND (state.status = 'retrying' OR state.reason = 'retry_later')
    AND subject IN (SELECT subject FROM latest AS l FINAL WHERE ({tenant:String} = '' OR l.tenant = {tenant:String}) AND state.stage = 1)
    AND ({notification:String} = '' OR l.notification = {notification:String})
    AND ({channel:String} = '' OR l.channel = {channel:String})
GROUP BY channel, status, reason, code
ORDER BY messages DESC, channel, status
LIMIT 100
