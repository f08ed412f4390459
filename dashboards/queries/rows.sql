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
                AND ({notification:String} = '' OR notification = {notification:String})
                AND ({channel:String} = '' OR channel = {channel:String})
                AND ({status:String} = '' OR status = {status:String})
                AND ({reason:String} = '' OR reason = {reason:String})
                AND ({category:String} = '' OR category = {category:String})
                AND ({provider:String} = '' OR provider = {provider:String})
                AND ({code:String} = '' OR code = {code:String})
                AND ({rule:String} = '' OR rule = {rule:String})
                AND ({variant:String} = '' OR variant = {variant:String})
                AND ({catalog_version:String} = '' OR catalog_version = {catalog_version:String})
                AND ({locale:String} = '' OR locale = {locale:String})
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
    AND ({notification:String} = '' OR notification = {notification:String})
    AND ({channel:String} = '' OR channel = {channel:String})
    AND ({status:String} = '' OR status = {status:String})
    AND ({reason:String} = '' OR reason = {reason:String})
    AND ({category:String} = '' OR category = {category:String})
    AND ({provider:String} = '' OR provider = {provider:String})
    AND ({code:String} = '' OR code = {code:String})
    AND ({rule:String} = '' OR rule = {rule:String})
    AND ({variant:String} = '' OR variant = {variant:String})
    AND ({catalog_version:String} = '' OR catalog_version = {catalog_version:String})
    AND ({locale:String} = '' OR locale = {locale:String})
    AND ({user:String} = '' OR user = {user:String})
    AND ({notification_id:String} = '' OR notification_id = {notification_id:String})
ORDER BY at_ms DESC, outcome_id
LIMIT {rows:UInt32}
SETTINGS do_not_merge_across_partitions_select_final = 1
