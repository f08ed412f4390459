"""Explains outcomes to people: a sentence for each reason, with the numbers on which the decision rested."""

from collections.abc import Mapping
from datetime import UTC, datetime
from string import Formatter
from typing import Any, Final

from tocsin.model.outcome import Scalar
from tocsin.model.statuses import SENTENCES, Reason
from tocsin.model.zones import zone

_ENDED: Final = (
    "It is an item of a digest, whose notification is {into}.",
    "It was handed to the subscribers of the topic {topic}: {users}.",
    "The broadcast {broadcast} was told to {action}.",
)
"""Sentences of outcomes without a reason."""
NUMBERED: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.NO_MATCH: (
        "The catalog was edited while it waited: it does not have this {gone} any more.",
        "When it was due, its {unmet} did not hold any more.",
        "No broadcast {broadcast} is under way, so nothing was done.",
        "The condition of {conditions_of} does not hold for this event.",
    ),
    Reason.LIMIT: (
        "The counter {counter} allows at most {limit} in {window_s}, and had {count} since"
        " {window_start_ms}.",
        "The counter {counter} allows at most {limit} a {calendar}: it had {count} from {window_start_ms},"
        " and starts anew at {window_end_ms}.",
        "The counter {counter} allows at most {limit}, and had {count}.",
    ),
    Reason.LIMIT_HOLD: (
        "The counter {counter} allows at most {limit} in {window_s}, and had {count} since"
        " {window_start_ms}. It is held until {due_ms}.",
        "The counter {counter} allows at most {limit} a {calendar}: it had {count} from {window_start_ms},"
        " and starts anew at {window_end_ms}. It is held until {due_ms}.",
        "A limit was reached; it is held until {due_ms}.",
    ),
    Reason.QUIET_HOURS: (
        "The user snoozed notifications until {snoozed_until_ms}. It may be sent from {send_start} to"
        " {send_end} in {zone}, and not in the quiet hours, {window_start} to {window_end}: it is held until"
        " {due_ms}.",
        "The user snoozed notifications until {snoozed_until_ms}, and the quiet hours are {window_start} to"
        " {window_end} in {zone}; it is held until {due_ms}.",
        "It may be sent from {send_start} to {send_end} in {zone}, and not in the quiet hours, {window_start}"
        " to {window_end}; it is held until {due_ms}.",
        "The quiet hours are {window_start} to {window_end} in {zone}; it is held until {due_ms}.",
        "It is held until the quiet hours end, at {due_ms}.",
    ),
    Reason.SEND_WINDOW: (
        "The user snoozed notifications until {snoozed_until_ms}. It may be sent from {window_start} to"
        " {window_end} in {zone}, and not in the quiet hours, {quiet_start} to {quiet_end}: it is held until"
        " {due_ms}.",
        "The user snoozed notifications until {snoozed_until_ms}, and it may be sent from {window_start} to"
        " {window_end} in {zone}; it is held until {due_ms}.",
        "It may be sent from {window_start} to {window_end} in {zone}, and not in the quiet hours,"
        " {quiet_start} to {quiet_end}; it is held until {due_ms}.",
        "It may be sent from {window_start} to {window_end} in {zone}, and the quiet hours, {quiet_start} to"
        " {quiet_end}, leave no time of that.",
        "It may be sent from {window_start} to {window_end} in {zone}; it is held until {due_ms}.",
        "It may be sent from {window_start} to {window_end} in {zone}, and other hours leave none of it.",
    ),
    Reason.SNOOZED: (
        "The user snoozed notifications; it is held until {due_ms}.",
        "The user snoozed notifications until {until_ms}, and the tenant drops what comes till then.",
    ),
    Reason.SCHEDULED: ("It is held until {due_ms}, the time asked for.",),
    Reason.AWAITING_PROFILE: ("The user is not known yet; it waits for the profile until {due_ms}.",),
    Reason.RETRY_LATER: ("A provider failed for now; the next attempt is at {due_ms}.",),
    Reason.AWAITING_RECEIPT: ("It was sent; without a receipt by {due_ms} another account sends it, too.",),
    Reason.ESCALATION: ("It is a later step: it goes out at {due_ms}, unless a receipt makes it needless.",),
    Reason.DIGEST: ("It collects items until {due_ms}.",),
    Reason.BAD_CATALOG: (
        "The files of the tenant have mistakes; it is held, and looked at again at {due_ms}.",
    ),
    Reason.TOO_LATE: (
        "It would have been held until {until_ms} ({held_for}), and it expires at {expires_ms}.",
        "It expired at {expires_ms}.",
    ),
    Reason.DUPLICATE: ("The same source and id came before, as {original}.",),
    Reason.DUPLICATE_KEY: ("The catalog's dedup key came before, as {original}.",),
    Reason.UNKNOWN_NOTIFICATION: (
        "The event asks for the notification {asked}, which the tenant's catalog does not have.",
    ),
    Reason.NO_ASKED_CHANNEL: (
        "The notification uses none of the channels that the event asks for: {asked}.",
    ),
    Reason.SEEN: (
        "The user has seen it: a receipt {receipt} came from {channel}.",
        "The user has seen it: a receipt {receipt} came.",
    ),
    Reason.ANSWERED: ("A receipt {receipt} came before this later step was due.",),
    Reason.RESCHEDULED: ("A newer event with the same cancel key replaced it: notification {by}.",),
    Reason.CANCELLED_BY_EVENT: ("The cancel event {by} named it.",),
    Reason.CANCEL_APPLIED: ("The event cancelled what was held. Notifications cancelled: {cancelled}.",),
    Reason.MISSED: (
        "The schedule {schedule} could not be raised when it was due. Of what was missed only the"
        " newest is raised: {instead}.",
        "The schedule {schedule} could not be raised when it was due, and it skips what is late.",
    ),
    Reason.COLLAPSED: ("A newer one with the same collapse key took its place: notification {into}.",),
}
"""Sentences with numbers, the most telling first. `SENTENCES` has one without numbers for each reason."""
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def explain(reason: str, detail: Mapping[str, Scalar]) -> str:
    """Say why, with the numbers of the detail; empty for a word of a provider's own, which has no sentence.

    >>> explain("quiet_hours", {"window_start": "22:00", "window_end": "07:00", "zone": "UTC", "due_ms": 0})
    'The quiet hours are 22:00 to 07:00 in UTC; it is held until 1970-01-01 00:00:00 UTC.'
    """
    if not reason:
        return next((_filled(text, detail) for text in _ENDED if fields(text) <= detail.keys()), "")
    if reason not in SENTENCES:
        return ""
    known = Reason(reason)
    fitting = (text for text in NUMBERED.get(known, ()) if fields(text) <= detail.keys())
    return _filled(next(fitting, SENTENCES[known]), detail)


def fields(text: str) -> set[str]:
    """Return the names of the numbers that a sentence needs."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _filled(text: str, detail: Mapping[str, Scalar]) -> str:
    clock = str(detail.get("zone", "UTC"))
    return text.format_map({name: _written(name, value, clock) for name, value in detail.items()})


def _written(name: str, value: Any, clock: str) -> str:
    if name.endswith("_ms") and isinstance(value, int):
        return moment(value, clock)
    return _duration(value) if name == "window_s" and isinstance(value, int | float) else str(value)


def moment(at_ms: int, clock: str = "UTC") -> str:
    """Write a time, ms since 1970, by the clock of a time zone, which it names; UTC if there is no such zone.

    >>> moment(0, "Asia/Tokyo")
    '1970-01-01 09:00:00 Asia/Tokyo'
    """
    known = zone(clock)
    return (
        f"{datetime.fromtimestamp(at_ms / 1_000, known or UTC):%Y-%m-%d %H:%M:%S} {clock if known else 'UTC'}"
    )


def _duration(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}{'s' if seconds > size else ''}"
    return f"{seconds:g} seconds"
