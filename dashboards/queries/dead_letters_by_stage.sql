-- Dead letters by stage: records that a step gave up, and why.
-- board: health 4
-- chart: table
-- drill: dead_letter_rows(stage, reason)
SELECT
    stage,
    reason,
    topic,
    uniqExact(letter_id) AS letters,
    fromUnixTimestamp64Milli(max(at_ms), 'UTC') AS last
FROM dead_letters
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
GROUP BY stage, reason, topic
ORDER BY letters DESC, stage, reason
LIMIT 100
