-- Choices: the notifications and channels that a tenant has outcomes of.
-- board: detail
-- chart: table
SELECT filter, name, count() AS outcomes
FROM outcomes
ARRAY JOIN ['notification', 'channel'] AS filter, [toString(notification), toString(channel)] AS name
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND name NOT IN ('', '*')
GROUP BY filter, name
ORDER BY filter, name
LIMIT 5000
