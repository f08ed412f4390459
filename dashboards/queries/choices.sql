-- Choices: the notifications and channels that a tenant has outcomes of.
-- board: detail
-- chart: table
SELECT filter, name, sum(counted) AS outcomes
FROM
(
    SELECT toString(notification) AS notification, toString(channel) AS channel, count() AS counted
    FROM outcomes
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    GROUP BY notification, channel
)
ARRAY JOIN ['notification', 'channel'] AS filter, [notification, channel] AS name
WHERE name NOT IN ('', '*')
GROUP BY filter, name
ORDER BY filter, name
LIMIT 5000
