-- Stages: from the decision to the click, and what was lost on the way.
-- board: overview 6
-- chart: bars(stage, messages)
-- drill: rows(status=stage)
SELECT stage, messages
FROM
(
    SELECT ['admitted', 'sent', 'delivered', 'opened', 'clicked', 'dead'] AS stages, [sumIf(outcomes, status = 'admitted'),
        sumIf(outcomes, status = 'sent'), sumIf(outcomes, status = 'delivered'), sumIf(outcomes, status = 'opened'),
        sumIf(outcomes, status = 'clicked'), sumIf(outcomes, status = 'dead' AND channel != '*')] AS counts
    FROM {rollup:Identifier} FINAL
    WHERE ({tenant:String} = '' OR tenant = {tenant:String})
        AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
        AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
        AND ({notification:String} = '' OR notification = {notification:String})
        AND ({channel:String} = '' OR channel = {channel:String})
)
ARRAY JOIN stages AS stage, counts AS messages
SETTINGS do_not_merge_across_partitions_select_final = 1
