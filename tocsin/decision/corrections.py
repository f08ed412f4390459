"""Corrections: what receipts changed about a user is written back for the owner of the profile.

The topic is compacted, so a correction is a whole profile. It is made from the newest text of the owner,
which the store keeps beside the user's record. A correction names that text in a header. The gate reads its
own corrections, too. One that is made from an older text has replaced a newer profile in the topic, and then
the newest one is written again.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

from tocsin.decision import receipts
from tocsin.decision.effects import Decision
from tocsin.decision.policy import GatePolicy
from tocsin.decision.user_state import UserRecord
from tocsin.formats.profile_corrections import (
    Correction,
    ProfileText,
    corrected,
    corrected_from,
    suppressed_since,
)
from tocsin.formats.profiles import ProfileChange
from tocsin.model.ids import target_id
from tocsin.model.profile import Suppressed
from tocsin.model.raw import RawRecord

SUPPRESSED: Final = "suppressed"
"""Reason of a block by a receipt that named an address and no user: it may be of any kind."""


class OwnCorrection(NamedTuple):
    """What follows from a correction of our own: most often nothing, else the topic is set right.

    Attributes:
        decision: leaves the user's record as it is.
        rewrite: the text to write again; None for none.
        erase: whether a tombstone is to be written.
    """

    decision: Decision
    rewrite: ProfileText | None = None
    erase: bool = False


def block_listed(record: UserRecord, listed: Collection[Suppressed], now_ms: int, policy: GatePolicy) -> bool:
    """Block what a profile lists, unless that was lifted later; return whether anything changed."""
    before = dict(record.blocked)
    for one in listed:
        at_ms = int(one.at.timestamp() * 1000) if one.at else now_ms
        receipts.block(record, target_id(one.address, one.channel), min(at_ms, now_ms), policy.blocked_max)
    if record.blocked == before:
        return False
    record.version += 1
    return True


def blocked(record: UserRecord, targets: Collection[str], reason: str, at_ms: int) -> Correction:
    """Describe blocks of those contact points that the profile names."""
    points = [point for point in record.contact_points if point.address and point.key in targets]
    found = [suppressed_since(point.address, point.channel, reason, at_ms) for point in points]
    return Correction(suppressed=tuple(found))


def lifted(record: UserRecord, targets: Collection[str]) -> Correction:
    """Describe the end of blocks."""
    points = [point for point in record.contact_points if point.address and point.key in targets]
    return Correction(lifted=tuple(point.address for point in points))


def apply(known: ProfileText, correction: Correction) -> ProfileText | None:
    """Correct a text; None if it says all of that already."""
    text = corrected(known.text, correction)
    return None if text is None else ProfileText(known.base, text)


def on_own_correction(
    record: UserRecord | None, change: ProfileChange, known: ProfileText | None, raw: RawRecord
) -> OwnCorrection | None:
    """Decide a correction that is read; None to apply it like any profile, as after a loss of state.

    Args:
        record: the user's.
        change: the correction.
        known: the newest text; None if the store has none.
        raw: the correction as it was read.
    """
    decision = Decision(record)
    if record is None or not record.version:
        # Kafka kept the correction behind an erasure: the topic must end with a tombstone.
        erased = record is not None and record.profile_ms > 0 and change.profile is not None
        return OwnCorrection(decision, erase=True) if erased else None
    if change.profile is None:
        return OwnCorrection(decision, rewrite=known)
    if known is None:
        return None
    if known.base == corrected_from(raw):
        return OwnCorrection(decision)
    again = Correction(suppressed=_still_blocked(record, change.profile.suppressed))
    return OwnCorrection(decision, rewrite=apply(known, again) or known)


def _still_blocked(record: UserRecord, entries: tuple[Suppressed, ...]) -> tuple[Suppressed, ...]:
    named = {point.address for point in record.contact_points}
    return tuple(
        one
        for one in entries
        if one.address in named and record.blocked.get(target_id(one.address, one.channel), 0) > 0
    )
