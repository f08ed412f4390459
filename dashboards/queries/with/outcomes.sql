-- The outcomes of the range, by all that a question may group by.
WITH
    -- Whole days are read by the day, the rest of the range by shorter units.
    toDateTime(least(4294967295, intDiv({from_ms:Int64} + 86399999, 86400000) * 86400), 'UTC') AS first_day,
    toDateTime(least(4294967295, intDiv({to_ms:Int64}, 86400000) * 86400), 'UTC') AS end_day,
    part AS
    (
        SELECT
            notification, category, channel, status, reason, rule, provider, code,
            o.outcomes AS outcomes, o.users AS users, o.latencies AS latencies, o.provider_ms AS provider_ms
        FROM outcomes_day AS o FINAL
        WHERE ({tenant:String} = '' OR tenant = {tenant:String})
            AND day >= first_day AND day < end_day
            AND ({notification:String} = '' OR notification = {notification:String})
            AND ({channel:String} = '' OR channel = {channel:String})
        UNION ALL
        SELECT
            notification, category, channel, status, reason, rule, provider, code,
            o.outcomes AS outcomes, o.users AS users, o.latencies AS latencies, o.provider_ms AS provider_ms
        FROM {rollup:Identifier} AS o FINAL
        WHERE ({tenant:String} = '' OR tenant = {tenant:String})
            AND {rollup_time:Identifier} >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - {rollup_s:UInt32} + 1), 'UTC')
            AND {rollup_time:Identifier} < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
            AND ({rollup_time:Identifier} < first_day OR {rollup_time:Identifier} >= end_day OR first_day >= end_day)
            AND ({notification:String} = '' OR notification = {notification:String})
            AND ({channel:String} = '' OR channel = {channel:String})
    )
