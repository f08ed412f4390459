"""Takes a profile over into a user's record: contact points, preferences, and a version that always grows."""

from tocsin.catalog.scalars import daily_minute
from tocsin.decision.preferences import switched_off, switched_on
from tocsin.decision.recipient import profile_contact_points
from tocsin.decision.user_state import UserRecord
from tocsin.formats.profile_checks import attributes_json
from tocsin.model.profile import Profile


def is_outdated(record: UserRecord, profile: Profile | None, read_ms: int) -> bool:
    """Return whether a forwarded profile or erasure is older than what was applied last.

    A higher version than any before is newer, whatever the clock of its producer said.
    """
    newest = record.written_version or record.version
    if newest and profile is not None and profile.version > newest:
        return False
    return read_ms < record.profile_ms


def is_overtaken(record: UserRecord, profile: Profile) -> bool:
    """Return whether a profile of a higher version was applied already.

    Profiles without a version, and those of one version, hold in the order of the topic.
    """
    return 0 < profile.version < record.written_version


def adopt(record: UserRecord, user: str, profile: Profile) -> bool:
    """Take a profile over.

    The version grows with every change, also where the producer forgot to raise it: messages that were
    decided before must not pass for fresh ones. The producer's version and the attributes are noted without
    that: what was admitted is not asked its conditions again.

    Returns:
        Whether anything else changed.
    """
    record.written_version = max(profile.version, record.written_version)
    record.attributes = attributes_json(profile.attributes)
    before = _content(record)
    chosen = profile.preferences
    snoozed = chosen.snoozed_until
    hours = profile.quiet_hours
    after = (
        profile_contact_points(user, profile),
        profile.locale,
        profile.timezone,
        switched_off(chosen),
        switched_on(chosen),
        int(snoozed.timestamp() * 1000) if snoozed else 0,
        daily_minute(hours.start) if hours else -1,
        daily_minute(hours.end) if hours else -1,
    )
    if record.version and before == after:
        return False
    (
        record.contact_points,
        record.locale,
        record.timezone,
        record.switched_off,
        record.switched_on,
        record.snoozed_until_ms,
        record.quiet_start_min,
        record.quiet_end_min,
    ) = after
    record.version = max(profile.version, record.version + 1)
    return True


def _content(record: UserRecord) -> tuple[object, ...]:
    return (
        record.contact_points,
        record.locale,
        record.timezone,
        record.switched_off,
        record.switched_on,
        record.snoozed_until_ms,
        record.quiet_start_min,
        record.quiet_end_min,
    )
