-- Opt-outs by category: unsubscribes beside what was sent, complaints, and what preferences kept back.
-- board: decisions 4
-- chart: table
-- drill: rows(category, status='unsubscribed')
SELECT
    category,
    sumIf(outcomes, status = 'sent') AS sent,
    sumIf(outcomes, status = 'unsubscribed') AS opted_out,
    if(sent = 0, 0, opted_out / sent) AS opt_out_ratio,
    sumIf(outcomes, status = 'complained') AS complained,
    sumIf(outcomes, status = 'suppressed' AND reason IN ('opted_out', 'channel_off', 'category_off', 'notification_off')) AS kept_back
FROM {rollup:Identifier} FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String})
    AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
    AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
GROUP BY category
HAVING sent + opted_out + kept_back > 0
ORDER BY opt_out_ratio DESC, category
SETTINGS do_not_merge_across_partitions_select_final = 1
