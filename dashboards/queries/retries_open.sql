-- Open retries: messages whose last attempt failed and that will be tried again.
-- board: health 5
-- chart: table
-- drill: waiting_rows(channel, reason, status, code)
WITH
    maybe AS
    (
        SELECT tenant, subject
        FROM latest AS l
        WHERE ({tenant:String} = '' OR l.tenant = {tenant:String}) AND startsWith(state, '1')
            AND (position(state, '\tretrying\t') > 0 OR position(state, '\tretry_later\t') > 0)
    )
SELECT
    channel,
    splitByChar('\t', state)[2] AS status,
    splitByChar('\t', state)[3] AS reason,
    splitByChar('\t', state)[4] AS code,
    count() AS messages,
    max(toUInt16OrZero(substring(state, 17, 5))) AS most_attempts,
    fromUnixTimestamp64Milli(min(toInt64OrZero(substring(state, 2, 15))), 'UTC') AS oldest
FROM
(
    SELECT subject, max(l.state) AS state, toString(max(l.channel)) AS channel, max(l.notification) AS notification
    FROM latest AS l
    WHERE (l.tenant, subject) IN (SELECT tenant, subject FROM maybe)
    GROUP BY l.tenant, subject
)
WHERE startsWith(state, '1') AND (status = 'retrying' OR reason = 'retry_later')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
GROUP BY channel, status, reason, code
ORDER BY messages DESC, channel, status
LIMIT 100
