-- Catalog versions in use: since when each has decided, and how much; times are those of steps.
-- board: health 6
-- chart: table
-- drill: rows(catalog_version)
SELECT
    catalog_version,
    min({rollup_time:Identifier}) AS first,
    max({rollup_time:Identifier}) AS last,
    sum(outcomes) AS outcomes
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND catalog_version != ''
GROUP BY catalog_version
ORDER BY last DESC, first DESC
LIMIT 50
SETTINGS do_not_merge_across_partitions_select_final = 1
