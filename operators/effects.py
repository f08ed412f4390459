"""Applies decisions of the gate: state and timers to the exact store, records to the outbox."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache

from msgspec.structs import replace

from operators.corrections import Corrections
from operators.gate_parts import Out
from tocsin.decision.effects import Decision
from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import UserRecord
from tocsin.formats.codec import dead_letter, encode
from tocsin.formats.forwarded import tombstone
from tocsin.model import topics
from tocsin.model.raw import OutRecord, VersionNote
from tocsin.model.statuses import Reason
from tocsin.store.key_group import KeyGroup

Tally = Counter[tuple[str, str, str]]


class Effects:
    """Applies the decisions about the users of one key group.

    Args:
        key_group: its store.
        partition: its partition, on which all records about these users are written.
        corrections: keeps texts of profiles, and writes corrected ones.
        tally: counts outcomes by (status, channel, reason).
    """

    def __init__(
        self,
        key_group: KeyGroup[UserRecord],
        partition: int,
        corrections: Corrections,
        tally: Tally,
    ) -> None:
        self._key_group = key_group
        self._partition = partition
        self._corrections = corrections
        self._tally = tally

    def apply(self, user_key: str, decision: Decision, now_ms: int, out: list[Out]) -> bool:
        """Apply a decision as a whole.

        Args:
            user_key: `tenant/user`.
            decision: what changes, and what is written.
            now_ms: the time of the decision, for dead letters.
            out: takes the records.

        Returns:
            Whether the timers may be others than before.
        """
        if decision.touched:
            self._key_group.put(user_key, decision.record)
        has_timers = False
        if decision.set_timers or decision.cancelled_timers or decision.moved_timers or decision.kept:
            _apply_timers(self._key_group, user_key, decision)
            has_timers = True
        if decision.profile_text is not None or decision.correction is not None:
            out += self._corrections.apply(user_key, decision)
        key, partition, add = user_key.encode(), self._partition, out.append
        for message in decision.messages:
            topic = _topic(message.channel, message.priority == "low")
            add(OutRecord(topic, partition, key, encode(message)))
        tally = self._tally
        for outcome in decision.outcomes:
            tally[outcome.status, outcome.channel, outcome.reason] += 1
            add(OutRecord(topics.OUTCOMES, partition, key, encode(outcome)))
        if decision.dead_letters:
            out += _dead_letters(decision, partition, now_ms)
        if decision.profile_version is not None:
            add(VersionNote(user_key, decision.profile_version, decision.keeps_user))
        if decision.audit is not None:
            add(OutRecord(topics.AUDIT, partition, key, encode(decision.audit)))
        return has_timers


MakeEffects = Callable[[KeyGroup[UserRecord], int, Corrections, Tally], Effects]


def _apply_timers(key_group: KeyGroup[UserRecord], user_key: str, decision: Decision) -> None:
    """Cancel, move and set timers, and keep what belongs beside them."""
    for cancelled in decision.cancelled_timers:
        key_group.release(user_key, cancelled.timer_id, cancelled.due_ms)
        if has_items(cancelled.timer_id):
            key_group.take_kept(user_key, cancelled.timer_id)
    for moved in decision.moved_timers:
        payload = key_group.pop(user_key, moved.timer_id, moved.due_ms)
        assert payload is not None, "what the user's record holds has a timer"
        key_group.hold(user_key, moved.timer_id, moved.new_ms, payload)
    for timer in decision.set_timers:
        key_group.hold(user_key, timer.timer_id, timer.due_ms, timer.payload, is_new=timer.is_new)
    for kept in decision.kept:
        key_group.keep(user_key, kept.timer_id, kept.number, kept.payload)


def _dead_letters(decision: Decision, partition: int, now_ms: int) -> Iterator[OutRecord]:
    for dead in decision.dead_letters:
        if dead.reason is Reason.OUTDATED and decision.record and not decision.record.version:
            # Otherwise compaction keeps this copy as the latest profile of a user who was erased.
            yield tombstone(dead.raw, partition)
        letter = dead_letter(dead.raw, "gate", dead.reason, dead.error, last_ms=now_ms)
        yield replace(letter, partition=partition)


@cache
def _topic(channel: str, bulk: bool) -> str:  # a keyword costs time for each message
    return topics.messages(channel, bulk=bulk)


def next_due(key_group: KeyGroup[UserRecord], decision: Decision, before_ms: int | None) -> int | None:
    """Tell when the earliest timer is due after a decision; it was due at `before_ms` before."""
    timers = decision.set_timers
    if len(timers) == 1 and timers[0].is_new and not (decision.cancelled_timers or decision.moved_timers):
        due_ms = timers[0].due_ms
        return due_ms if before_ms is None or due_ms < before_ms else before_ms
    return key_group.next_due()


def has_items(timer_id: str) -> bool:
    """Return whether something may be kept beside a timer: the items of a digest."""
    return timer_id[0] == TimerKind.DIGEST
