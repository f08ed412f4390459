-- The messages sent in the range, and what was reported of them, by all that a question may group by.
WITH
    -- Whole days are read by the day, the rest of the range by the hour.
    toDateTime(least(4294967295, intDiv({from_ms:Int64} + 86399999, 86400000) * 86400), 'UTC') AS first_day,
    toDateTime(least(4294967295, intDiv({to_ms:Int64}, 86400000) * 86400), 'UTC') AS end_day,
    part AS
    (
        SELECT
            notification, channel, provider, catalog_version, variant, locale,
            e.sent AS sent, e.delivered AS delivered, e.opened AS opened, e.clicked AS clicked,
            e.read AS read, e.bounced AS bounced, e.complained AS complained, e.unsubscribed AS unsubscribed,
            e.users AS users, e.opened_users AS opened_users
        FROM engagement_day AS e FINAL
        WHERE ({tenant:String} = '' OR tenant = {tenant:String})
            AND day >= first_day AND day < end_day
            AND ({notification:String} = '' OR notification = {notification:String})
            AND ({channel:String} = '' OR channel = {channel:String})
        UNION ALL
        SELECT
            notification, channel, provider, catalog_version, variant, locale,
            e.sent AS sent, e.delivered AS delivered, e.opened AS opened, e.clicked AS clicked,
            e.read AS read, e.bounced AS bounced, e.complained AS complained, e.unsubscribed AS unsubscribed,
            e.users AS users, e.opened_users AS opened_users
        FROM engagement_hour AS e FINAL
        WHERE ({tenant:String} = '' OR tenant = {tenant:String})
            AND hour >= toDateTime(greatest(0, intDiv({from_ms:Int64}, 1000) - 3600 + 1), 'UTC')
            AND hour < toDateTime(least(4294967295, intDiv({to_ms:Int64} + 999, 1000)), 'UTC')
            AND (hour < first_day OR hour >= end_day OR first_day >= end_day)
            AND ({notification:String} = '' OR notification = {notification:String})
            AND ({channel:String} = '' OR channel = {channel:String})
    )
