-- Rows: the outcomes themselves, newest first.
-- board: detail
-- chart: table
WITH
    -- The time of the last row shown, copies counted; then few rows are read whole.
    (
        SELECT min(at_ms)
        FROM
        (
            SELECT at_ms
            FROM outcomes
            WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= {from_ms:Int64} AND at_ms < {to_ms:Int64}
                AND ({notification:String} IN ('', notification) OR ({notification:String} = '(none)' AND notification = ''))
                AND ({channel:String} IN ('', channel) OR ({channel:String} = '(none)' AND channel = ''))
                AND ({status:String} IN ('', status) OR ({status:String} = '(none)' AND status = ''))
                AND ({reason:String} IN ('', reason) OR ({reason:String} = '(none)' AND reason = ''))
                AND ({category:String} IN ('', category) OR ({category:String} = '(none)' AND category = ''))
                AND ({provider:String} IN ('', provider) OR ({provider:String} = '(none)' AND provider = ''))
                AND ({code:String} IN ('', code) OR ({code:String} = '(none)' AND code = ''))
                AND ({rule:String} IN ('', rule) OR ({rule:String} = '(none)' AND rule = ''))
                AND ({variant:String} IN ('', variant) OR ({variant:String} = '(none)' AND variant = ''))
                AND ({catalog_version:String} IN ('', catalog_version) OR ({catalog_version:String} = '(none)' AND catalog_version = ''))
                AND ({locale:String} IN ('', locale) OR ({locale:String} = '(none)' AND locale = ''))
                AND ({user:String} = '' OR user = {user:String})
                AND ({notification_id:String} = '' OR notification_id = {notification_id:String})
            ORDER BY at_ms DESC
            LIMIT 4 * {rows:UInt32}
        )
    ) AS since_ms
SELECT
    at, status, reason, rule, notification, category, channel, user, variant, locale, provider, code, attempt, latency_ms,
    provider_ms, notification_id, message_id, event_id, catalog_version, detail
FROM outcomes FINAL
WHERE ({tenant:String} = '' OR tenant = {tenant:String}) AND at_ms >= greatest({from_ms:Int64}, since_ms) AND at_ms < {to_ms:Int64}
    AND hour >= toStartOfHour(fromUnixTimestamp64Milli(greatest(0, since_ms), 'UTC'))
    AND ({notification:String} IN ('', notification) OR ({notification:String} = '(none)' AND notification = ''))
    AND ({channel:String} IN ('', channel) OR ({channel:String} = '(none)' AND channel = ''))
    AND ({status:String} IN ('', status) OR ({status:String} = '(none)' AND status = ''))
    AND ({reason:String} IN ('', reason) OR ({reason:String} = '(none)' AND reason = ''))
    AND ({category:String} IN ('', category) OR ({category:String} = '(none)' AND category = ''))
    AND ({provider:String} IN ('', provider) OR ({provider:String} = '(none)' AND provider = ''))
    AND ({code:String} IN ('', code) OR ({code:String} = '(none)' AND code = ''))
    AND ({rule:String} IN ('', rule) OR ({rule:String} = '(none)' AND rule = ''))
    AND ({variant:String} IN ('', variant) OR ({variant:String} = '(none)' AND variant = ''))
    AND ({catalog_version:String} IN ('', catalog_version) OR ({catalog_version:String} = '(none)' AND catalog_version = ''))
    AND ({locale:String} IN ('', locale) OR ({locale:String} = '(none)' AND locale = ''))
    AND ({user:String} = '' OR user = {user:String})
    AND ({notification_id:String} = '' OR notification_id = {notification_id:String})
ORDER BY at_ms DESC, outcome_id
LIMIT {rows:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
