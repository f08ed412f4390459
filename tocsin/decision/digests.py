"""Digests: which open digest a notification joins, when that is due, and what it keeps of each item.

An open digest is a timer of kind `DIGEST`. The user's record has its numbers. The timer's payload is the
event of its first item. Each item that a template will show is kept beside the timer, so an item costs the
same however many there are. When the timer is due, `tocsin.decision.due_digest` makes it one notification.

An open digest keeps its due time whatever becomes of the catalog; one that is due at a clock time follows its
user into another time zone (`tocsin.decision.retiming`). What comes later joins it if notification
and key are equal.
"""

from functools import lru_cache

import msgspec
from msgspec.structs import replace

from tocsin.catalog.digests import LONGEST_MS, CompiledDigest
from tocsin.catalog.matching import Match
from tocsin.decision import dedup
from tocsin.decision.clock_times import next_at
from tocsin.decision.effects import Decision, Keep, SetTimer, move_timer
from tocsin.decision.evaluation import Evaluation, Stage
from tocsin.decision.policy import GatePolicy
from tocsin.decision.subjects import EventSubject
from tocsin.decision.timers import HeldDigest, TimerKind
from tocsin.decision.user_state import DigestRef, HoldRef, UserRecord
from tocsin.decision.verdict import Detail, Expire, FinalVerdict, Hold, Merge, Suppress
from tocsin.model.event import Event
from tocsin.model.ids import digest as id_of
from tocsin.model.statuses import Reason, Status

MAX_ITEMS = 25
"""Items shown where the catalog says nothing of digests."""
_NEW = frozenset({Stage.EVENT, Stage.TIMER})
# Members of an enum are looked up by Python code in 3.11: hot ones are looked up once.
_KIND, _HELD, _DIGEST = TimerKind.DIGEST.value, Status.HELD, Reason.DIGEST
_parse = msgspec.json.Decoder().decode


def overflow(evaluation: Evaluation, room_ms: int, cause: Detail) -> Merge | Expire | None:
    """Merge what a limit has no room for into a digest, due by the catalog or else when there is room.

    Args:
        evaluation: of the notification that the limit has no room for.
        room_ms: when the limit has room for one more.
        cause: the numbers of the limit.

    Returns:
        None for what does not go into a digest: a digest itself, and one channel of a notification. The limit
        holds them.
    """
    subject = evaluation.subject
    if evaluation.stage not in _NEW or not isinstance(subject, EventSubject) or subject.digest is not None:
        return None
    verdict = join(evaluation, room_ms)
    return replace(verdict, cause=cause) if isinstance(verdict, Merge) else verdict


def join(evaluation: Evaluation, room_ms: int = 0) -> Merge | Expire:
    """Choose the open digest that a notification joins, or the id and due time of a new one.

    A digest whose window has no fixed end is due before an item of it expires. An item that expires before a
    fixed end expires at once.
    """
    subject, terms = evaluation.subject, evaluation.notification.digest
    assert isinstance(subject, EventSubject), "a returned message was a notification of its own"
    found = _open(evaluation.state, subject, evaluation.now_ms)
    merge = _new(evaluation, subject, terms, room_ms) if found is None else _joined(evaluation, found, terms)
    last_ms = subject.event.expires_ms or 0
    if last_ms and terms is not None and terms.is_flexible:
        due_ms, latest_ms = min(last_ms, merge.due_ms), min(last_ms, merge.latest_ms)
        merge = replace(merge, due_ms=due_ms, latest_ms=latest_ms)
    elif 0 < last_ms < merge.due_ms:
        return Expire(detail={"held_for": Reason.DIGEST.value})
    full = terms is not None and 0 < terms.count <= merge.item
    return replace(merge, due_ms=evaluation.now_ms) if full else merge


def collect(
    decision: Decision, evaluation: Evaluation, subject: EventSubject, merge: Merge, policy: GatePolicy
) -> FinalVerdict:
    """Add an item to its digest, which is opened if there is none.

    Beyond `max_items`, or the bytes that a user's digests may keep, an item is only counted. Where a user has
    too many open digests, a notification that would open another one is suppressed.

    Returns:
        What becomes of the item.
    """
    holds, timer_id = evaluation.state.holds, f"{_KIND}{merge.group}"
    ref = holds.get(timer_id)
    if ref is None:
        refusal = _refusal(evaluation.state, policy)
        if refusal is not None:
            return refusal
        ref = _opened(decision, evaluation, subject, merge, timer_id)
    elif ref.due_ms != merge.due_ms:
        move_timer(decision, timer_id, ref.due_ms, merge.due_ms)
    item, left_out = _item(evaluation, subject.match, ref, policy)
    assert ref.digest is not None, "a timer of this kind has the numbers of a digest"
    if not left_out:
        decision.kept.append(Keep(timer_id, ref.digest.kept, item))
    ends = [at_ms for at_ms in (ref.expires_ms, subject.event.expires_ms) if at_ms]
    holds[timer_id] = replace(
        ref,
        due_ms=merge.due_ms,
        expires_ms=min(ends) if ends else 0,
        digest=_counted(ref.digest, subject.match, merge, item, left_out),
    )
    decision.touched = True
    return replace(merge, left_out=left_out) if left_out else merge


def due_ms_of(terms: CompiledDigest | None, zone: str, now_ms: int, room_ms: int) -> tuple[int, int]:
    """Return when a digest that opens now is due, and the latest time to which further items move that."""
    if terms is None or not (terms.has_window or terms.count):
        due_ms = room_ms
    elif terms.slide_ms:
        return now_ms + terms.slide_ms, now_ms + terms.at_most_ms
    elif terms.every_ms:
        due_ms = now_ms + terms.every_ms
    elif terms.at_min >= 0:
        due_ms = next_at(zone, terms.at_min, terms.weekdays, now_ms)
    else:
        due_ms = now_ms + LONGEST_MS
    return due_ms, due_ms


def _open(state: UserRecord, subject: EventSubject, now_ms: int) -> HoldRef | None:
    """Find the open digest of a notification and key. One that is full is due, and takes no more."""
    name, key = subject.match.notification.name, _key_of(subject)
    for ref in state.holds.values():
        digest = ref.digest
        if digest is not None and digest.key == key and ref.notification == name and ref.due_ms > now_ms:
            return ref
    return None


def _key_of(subject: EventSubject) -> bytes:
    """Hash what the items of a digest have in common, such as the channels that their events ask for."""
    match, asked = subject.match, subject.event.asked
    if asked is None or not asked.channels:
        return _hash(match.notification.name, match.digest_key)
    name = f"{match.notification.name}\0{','.join(sorted(asked.channels))}"
    return _hash(name, match.digest_key)


_hash = lru_cache(maxsize=4_096)(dedup.key_of)
"""Most digests have no key, or one of a few."""


def _new(evaluation: Evaluation, subject: EventSubject, terms: CompiledDigest | None, room_ms: int) -> Merge:
    event, match = subject.event, subject.match
    group = id_of("d", event.tenant, event.user, match.notification.name, match.digest_key, subject.origin)
    due_ms, latest_ms = due_ms_of(terms, evaluation.recipient.timezone, evaluation.now_ms, room_ms)
    return Merge(group, due_ms, latest_ms, item=1)


def _joined(evaluation: Evaluation, ref: HoldRef, terms: CompiledDigest | None) -> Merge:
    """Join an open digest. A sliding one is due later with each item, but not after its latest time."""
    assert ref.digest is not None, "it was chosen for its key"
    latest_ms = ref.digest.latest_ms
    slid_ms = evaluation.now_ms + terms.slide_ms if terms is not None and terms.slide_ms else 0
    due_ms = max(ref.due_ms, min(slid_ms, latest_ms))
    return Merge(ref.notification_id, due_ms, latest_ms, item=ref.digest.count + 1)


def _refusal(state: UserRecord, policy: GatePolicy) -> Suppress | None:
    """Refuse another digest where the user has too many, or holds too much."""
    digests = sum(ref.digest is not None for ref in state.holds.values())
    for counter, limit, count in (
        ("digests", policy.digests_max, digests),
        ("held", policy.holds_max, len(state.holds)),
    ):
        if count >= limit:
            detail: Detail = {"counter": counter, "limit": limit, "count": count}
            return Suppress(Reason.LIMIT, detail)
    return None


def _opened(
    decision: Decision, evaluation: Evaluation, subject: EventSubject, merge: Merge, timer_id: str
) -> HoldRef:
    """Open a digest with the event of its first item; its outcome says until when it is held."""
    opened = EventSubject(
        subject.event,
        subject.raw,
        subject.match,
        subject.now_ms,
        notification_id=merge.group,
        faults=subject.faults,
        digest=HeldDigest(key=subject.match.digest_key),
    )
    decision.set_timers.append(SetTimer(timer_id, merge.due_ms, opened.payload(), is_new=True))
    detail: Detail = {"due_ms": merge.due_ms}
    if (terms := evaluation.notification.digest) is not None and terms.at_min >= 0:
        detail["zone"] = evaluation.recipient.timezone
    if merge.latest_ms != merge.due_ms:
        detail["latest_ms"] = merge.latest_ms
    decision.outcomes.append(
        opened.outcome(_HELD, _DIGEST, detail, rule=evaluation.rule),
    )
    ref = opened.hold_ref(merge.due_ms, Hold(merge.due_ms, _DIGEST), 0)
    return replace(ref, digest=DigestRef(_key_of(subject)))


def _item(evaluation: Evaluation, match: Match, ref: HoldRef, policy: GatePolicy) -> tuple[bytes, str]:
    """Return what is kept of an item; or why nothing is, and it is only counted."""
    assert isinstance(evaluation.subject, EventSubject), "only an event's notification is collected"
    assert ref.digest is not None, "a timer of this kind has the numbers of a digest"
    terms = evaluation.notification.digest
    if ref.digest.kept >= (terms.max_items if terms else MAX_ITEMS):
        return b"", "max_items"
    item = match.digest_item or _whole(evaluation.subject.event)
    kept = 0
    for each in evaluation.state.holds.values():
        if each.digest is not None:
            kept += each.digest.size
    if kept + len(item) > policy.digest_bytes:
        return b"", "digest_bytes"
    return (item, "") if item else (b"", "not_json")


def _whole(event: Event) -> bytes:
    """Return the data of an event that the catalog does not collect; empty if they are no JSON."""
    data = bytes(event.data)
    try:
        _parse(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return b""
    return data


def _counted(digest: DigestRef, match: Match, merge: Merge, item: bytes, left_out: str) -> DigestRef:
    channels = digest.channels
    if match.notification.has_conditional_channels:
        conditional = [channel.name for channel in match.channels if channel.when is not None]
        channels = tuple(dict.fromkeys((*channels, *conditional)))
    return DigestRef(
        digest.key,
        merge.latest_ms,
        digest.count + 1,
        digest.kept + (not left_out),
        digest.size + len(item),
        channels,
    )
