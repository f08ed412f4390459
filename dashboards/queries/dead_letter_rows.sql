-- Dead letters: where each record came from and why it ended, newest first.
-- board: detail
-- chart: table
SELECT
    at, stage, reason, error, tenant, user, origin, topic, attempts, bytes, dead_partition, dead_offset
FROM dead_letters FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
    AND ({stage:String} IN ('', stage) OR ({stage:String} = '(none)' AND stage = ''))
    AND ({reason:String} IN ('', reason) OR ({reason:String} = '(none)' AND reason = ''))
    AND ({user:String} = '' OR user = {user:String})
ORDER BY at_ms DESC, letter_id
LIMIT {rows:UInt32}
