"""A profile, taken over into a user's record: contact points, wishes, and a version that always grows."""

from tocsin.catalog.spec import DefaultPreferences, daily_minute
from tocsin.decision import preferences, route
from tocsin.decision.record import UserRecord
from tocsin.model.profile import Profile


def adopt(record: UserRecord, user: str, profile: Profile, defaults: DefaultPreferences) -> bool:
    """Take a profile over; the tenant's defaults fill what the user has not chosen.

    The version grows with every change, also where the producer forgot to raise it: messages that were
    decided before must not pass for fresh ones. Equal profiles written again change nothing.

    Returns:
        Whether anything changed.
    """
    before = _content(record)
    wishes = profile.preferences
    snoozed = wishes.snoozed_until
    hours = profile.quiet_hours
    after = (
        route.profile_points(user, profile),
        profile.locale,
        profile.timezone,
        preferences.switched_off(wishes, defaults),
        int(snoozed.timestamp() * 1000) if snoozed else 0,
        daily_minute(hours.start) if hours else -1,
        daily_minute(hours.end) if hours else -1,
    )
    if record.version and before == after:
        return False
    (
        record.points,
        record.locale,
        record.timezone,
        record.off,
        record.snoozed_until_ms,
        record.quiet_start_min,
        record.quiet_end_min,
    ) = after
    record.version = max(profile.version, record.version + 1)
    return True


def _content(record: UserRecord) -> tuple[object, ...]:
    return (
        record.points,
        record.locale,
        record.timezone,
        record.off,
        record.snoozed_until_ms,
        record.quiet_start_min,
        record.quiet_end_min,
    )
