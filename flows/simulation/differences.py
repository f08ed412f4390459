"""Decisions that differ: which of both sides belong together, and what their difference is called."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from flows.simulation.decided import Decided, same
from tocsin.model.statuses import Status

_WHOLE: Final = "*"


class Difference(NamedTuple):
    """One decision that differs: `before` or `after` is None where only the other side decided so."""

    before: Decided | None
    after: Decided | None

    @property
    def known(self) -> Decided:
        """Return the side that is there."""
        found = self.before or self.after
        assert found is not None, "a difference has a side"
        return found


def paired(before: Iterable[Decided], after: Iterable[Decided]) -> Iterator[Difference]:
    """Pair what both sides decided of one subject, and then by notification."""
    partners: dict[str, list[Decided]] = {}
    for decided in after:
        partners.setdefault(f"{decided.user} {decided.subject}", []).append(decided)
    left: list[Decided] = []
    for decided in before:
        if same_subject := partners.get(f"{decided.user} {decided.subject}"):
            yield Difference(decided, same_subject.pop(0))
        else:
            left.append(decided)
    yield from _by_notification(left, [decided for rest in partners.values() for decided in rest])


def _by_notification(before: list[Decided], after: list[Decided]) -> Iterator[Difference]:
    """Pair channels of one side with what ended their notification, or their event, on the other side.

    Where one side sends on two channels and the other one suppresses the notification, both channels belong
    to that one decision.
    """
    was, becomes = _Wholes(before), _Wholes(after)
    for decided in before:
        if decided.channel != _WHOLE:
            yield Difference(decided, becomes.take(decided))
    for decided in after:
        if decided.channel != _WHOLE:
            yield Difference(was.take(decided), decided)
    yield from (Difference(decided, None) for decided in was.left())
    yield from (Difference(None, decided) for decided in becomes.left())


class _Wholes:
    """What was decided of whole notifications and events; what ended one comes before what held it."""

    def __init__(self, decided: Iterable[Decided]) -> None:
        self._all = [each for each in decided if each.channel == _WHOLE]
        self._taken: set[str] = set()
        self._named: dict[str, Decided] = {}
        for each in self._all:
            name = f"{each.user} {each.notification_id or each.origin}"
            if name not in self._named or each.status != Status.HELD:
                self._named[name] = each

    def take(self, channel: Decided) -> Decided | None:
        """Return what was decided of the notification of a channel, or of its event."""
        names = f"{channel.user} {channel.notification_id}", f"{channel.user} {channel.origin}"
        found = self._named.get(names[0]) or self._named.get(names[1])
        if found is not None:
            self._taken.add(found.outcome_id)
        return found

    def left(self) -> list[Decided]:
        """Return those that no channel took."""
        return [each for each in self._all if each.outcome_id not in self._taken]


def moved(before: Decided | None, after: Decided | None) -> tuple[str, str]:
    """Name what was decided on both sides, in a word or two each."""
    was, becomes = _word(before), _word(after)
    if before is None or after is None or was != becomes:
        return was, becomes
    if before.due_ms != after.due_ms:
        return was, f"{becomes} until {'later' if after.due_ms > before.due_ms else 'earlier'}"
    return was, f"{becomes} {'later' if after.at_ms > before.at_ms else 'earlier'}"


def _is_moved_in_time(before: Decided, after: Decided) -> bool:
    """Tell whether both sides decided the same at different times, as after a hold."""
    return same(before, after) and before.at_ms != after.at_ms


def _word(decided: Decided | None) -> str:
    if decided is None:
        return "nothing"
    return f"{decided.status} {decided.reason}".strip()


def fields_changed(difference: Difference) -> Iterator[str]:
    """Name the compared fields that differ."""
    before, after = difference
    if before is None or after is None:
        yield "status"
        return
    for name in ("status", "reason", "channel"):
        if getattr(before, name) != getattr(after, name):
            yield name
    if before.due_ms != after.due_ms:
        yield "due time"
    if _is_moved_in_time(before, after):
        yield "time"
