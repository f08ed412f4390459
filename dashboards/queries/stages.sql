-- Stages: messages from the decision to the click, and those given up.
-- board: overview 6
-- chart: bars(stage, messages)
-- drill: rows(status=stage)
SELECT stage, sum(count) AS messages
FROM
(
    SELECT
        ['admitted', 'sent', 'dead'] AS stages,
        [sumIf(outcomes, status = 'admitted'), sumIf(outcomes, status = 'sent'), sumIf(outcomes, status = 'dead')] AS counts
    FROM {rollup:Identifier} FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
        AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
        AND channel != '*'
    UNION ALL
    SELECT ['delivered', 'opened', 'clicked'] AS stages, [sum(e.delivered), sum(e.opened), sum(e.clicked)] AS counts
    FROM engagement_hour AS e FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND hour >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - 3600 + 1), 'UTC')
        AND hour < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
)
ARRAY JOIN stages AS stage, counts AS count
GROUP BY stage
ORDER BY indexOf(['admitted', 'sent', 'delivered', 'opened', 'clicked', 'dead'], stage)
SETTINGS do_not_merge_across_partitions_select_final = 1
