-- Catalog versions in use: since when each has decided, and how much.
-- board: health 6
-- chart: table
-- drill: rows(catalog_version)
SELECT
    catalog_version,
    fromUnixTimestamp64Milli(min(at_ms), 'UTC') AS first,
    fromUnixTimestamp64Milli(max(at_ms), 'UTC') AS last,
    uniqCombined64(outcome_id) AS outcomes
FROM outcomes
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64} AND catalog_version != ''
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
GROUP BY catalog_version
ORDER BY last DESC
LIMIT 50
