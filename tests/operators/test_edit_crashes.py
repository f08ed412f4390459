"""Random lives in which a process dies around an edit of the catalog, and starts with either catalog.

A crash in the epoch in which a catalog is taken over rewinds the store. The same inputs are then decided by
the catalog that is on disk when the process starts. So what comes out is what an unbroken process says that
took over the same catalogs at the same inputs, to the byte.
"""

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.gate_parts import GateInput
from tests.decision.gate_world import DAY, HOUR, NOON, profile
from tests.decision.test_edited_lives import EDITS, KINDS, Deed, changed, faulty, wanted, whats
from tests.operators.test_digests import left
from tests.operators.test_gate_logic import KEY_GROUP, Process, outcomes
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.delivery import records
from tocsin.delivery.records import ProviderCall
from tocsin.formats.codec import ProfileChange
from tocsin.formats.forwarded import rewritten
from tocsin.model.event import Event, Origin
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.profile import Profile
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.model.statuses import FINAL, Reason, Status

Step = GateInput | int | Gate
"""An input, a time (ms after noon) until which timers may fire, or a catalog that is taken over."""
USERS = ("ann", "bob")


class End(StrEnum):
    """How an epoch ends."""

    PUBLISHED = "it is published"
    LOST = "the process dies before it is stored"
    STORED = "the process dies before it is in the base"


NEWEST, BEFORE = -1, -2
"""The catalog that was in force when the process died, and that at the start of its last epoch."""


class Epoch(NamedTuple):
    """What happens around an edit, how the epoch ends, and which catalog is on disk when a process starts."""

    before: Sequence[Deed]
    edit: int
    after: Sequence[Deed]
    end: End
    on_disk: int


pauses = st.sampled_from([0, 0, 1, 60_000, 9 * 60_000, HOUR, 9 * HOUR])
deeds = st.lists(st.builds(Deed, pauses, whats, st.integers(0, 999)), min_size=1, max_size=8)
lives = st.lists(
    st.builds(Epoch, deeds, st.integers(0, 7), deeds, st.sampled_from(End), st.integers(BEFORE, 7)),
    min_size=4,
    max_size=9,
)


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> list[Gate]:
    """The catalogs in force; in the last one the files of the tenant have mistakes."""
    catalogs = [*map(changed, EDITS), faulty(tmp_path_factory.mktemp("faulty"))]
    return [Gate(one, GatePolicy()) for one in catalogs]


def do(process: Process, step: Step) -> None:
    if isinstance(step, GateInput):
        process.clock.wall_ms = process.clock.until_ms = max(process.clock.wall_ms, step.now_ms)
        process.give(step)
    elif isinstance(step, Gate):
        process.gate = step
    else:
        process.clock.wall_ms = process.clock.until_ms = NOON + step
    group = process.shard.key_group(KEY_GROUP)
    while (due_ms := group.next_due()) is not None and due_ms <= process.clock.until_ms:
        process.notify()


class Life:
    """A process that dies and starts again, over a topic of inputs; `epochs` are those that were stored."""

    def __init__(self, path: Path, gates: Sequence[Gate]) -> None:
        self._path, self._gates = path, gates
        self._stored: dict[str, Any] = {}
        self._process = Process(path, self._stored, gates[0])
        self._records: list[Any] = []
        self._answered: set[str] = set()
        self._numbers = count(1)
        self._steps: list[Step] = []
        self._at = 0
        self.epochs: list[list[Step]] = []
        self._do(*(self._change(user, profile()) for user in USERS))

    def live(self, epoch: Epoch) -> None:
        """Do what happens in an epoch. A process that dies in it does it again, by what is on disk then."""
        before = self._process.gate
        for deed in (*epoch.before, Deed(0, "edit", epoch.edit), *epoch.after):
            self._happen(deed)
        on_disk = (*self._gates, before, self._process.gate)[epoch.on_disk]
        if epoch.end is End.PUBLISHED:
            self._end()
        elif epoch.end is End.STORED:
            self._process.store_rows()
            self.epochs.append(self._steps)
            self._start(on_disk)
        else:
            again = [step for step in self._steps if not isinstance(step, Gate)]
            self._start(on_disk)
            self._do(*again)

    def end(self) -> list[Any]:
        """Fix the files, let all that is open come to its end, and return what came out."""
        self._do(self._gates[0], self._at + 60 * DAY)
        self._end()
        return closed(self._process, self._path, self._records)

    def _do(self, *steps: Step) -> None:
        for step in steps:
            self._steps.append(step)
            do(self._process, step)

    def _end(self) -> None:
        self._process.epoch()
        self.epochs.append(self._steps)
        self._steps = []

    def _start(self, on_disk: Gate) -> None:
        self._process.shard.close()
        self._records += self._process.published.records
        self._process = Process(self._path, self._stored, on_disk)
        self._steps = [on_disk]

    def _happen(self, deed: Deed) -> None:
        self._at += deed.pause_ms
        user = USERS[deed.choice % 11 == 0]
        if deed.what in KINDS:
            self._do(self._event(deed, user))
        elif deed.what == "edit":
            self._do(self._gates[deed.choice % len(self._gates)])
        elif deed.what in ("profile", "erase"):
            self._do(self._change(user, None if deed.what == "erase" else wanted(deed.choice)))
        else:
            self._answer(deed)
        self._do(self._at)

    def _event(self, deed: Deed, user: str) -> GateInput:
        number, now_ms = next(self._numbers), NOON + self._at
        data = msgspec.json.encode({"key": "kl"[deed.choice % 2], "n": deed.choice % 3, "cancel_key": "k"})
        event = Event(
            tenant="quiet", id=f"e{number}", source="/s", type=deed.what, user=user, time_ms=now_ms,
            data=msgspec.Raw(data), origin=Origin("events", 0, number), received_ms=now_ms,
        )  # fmt: skip
        return GateInput(now_ms, f"quiet/{user}", event, rewritten(event))

    def _change(self, user: str, wish: Profile | None) -> GateInput:
        now_ms = NOON + self._at
        raw = RawRecord("profiles", 0, next(self._numbers), now_ms, None, None, ())
        return GateInput(now_ms, f"quiet/{user}", ProfileChange("quiet", user, wish), raw)

    def _answer(self, deed: Deed) -> None:
        """Let something become of one of the newest messages that were published, told twice."""
        about = self._published(deed.choice)
        if about is None:
            return
        now_ms = NOON + self._at
        item: Retry | ReceiptEvent
        if deed.what == "receipt":
            item = ReceiptEvent(
                tenant="quiet", user=about.user, kind=("delivered", "opened", "read")[deed.choice % 3],
                notification_id=about.notification_id, notification=about.notification,
                channel=about.channel, message_id=about.message_id, at_ms=now_ms,
            )  # fmt: skip
        elif about.message_id in self._answered:
            return
        else:
            self._answered.add(about.message_id)
            item = failed(about, now_ms) if deed.what == "fail" else returned(about, now_ms, deed.choice)
        raw = RawRecord("receipts", 0, next(self._numbers), now_ms, None, msgspec.json.encode(item), ())
        self._do(*[GateInput(now_ms, f"quiet/{about.user}", item, raw)] * 2)

    def _published(self, choice: int) -> Message | None:
        found = messages(self._records + self._process.published.records)
        return found[-1 - choice % min(len(found), 5)] if found else None


def failed(message: Message, now_ms: int) -> Retry | ReceiptEvent:
    """Write what delivery does of a message that it could not send; without a limit it is only returned."""
    for _, value, _ in records.failed(message, Reason.REJECTED, ProviderCall(now_ms)):
        return msgspec.json.decode(value, type=ReceiptEvent)
    return returned(message, now_ms, 0)


def returned(message: Message, now_ms: int, choice: int) -> Retry:
    again = msgspec.structs.replace(message, attempt=message.attempt + 1)
    return Retry(message=again, reason="transient", due_ms=now_ms + choice % 2 * HOUR)


def messages(out: Sequence[Any]) -> list[Message]:
    sent = (one for one in out if isinstance(one, OutRecord) and one.topic.startswith("messages."))
    return [msgspec.json.decode(one.value or b"", type=Message) for one in sent]


def closed(process: Process, path: Path, before: list[Any]) -> list[Any]:
    assert process.shard.key_group(KEY_GROUP).held() == 0
    process.shard.finish()
    process.shard.close()
    assert left(path) == [], "nothing is kept that nobody will read"
    return before + process.published.records


def unbroken(path: Path, gates: Sequence[Gate], epochs: Sequence[Sequence[Step]]) -> list[Any]:
    """Let one process do all that was stored."""
    process = Process(path, {}, gates[0])
    for steps in epochs:
        for step in steps:
            do(process, step)
        process.epoch()
    return closed(process, path, [])


def told(out: Sequence[Any]) -> set[str]:
    """What came out; copies are one."""
    return set(map(repr, out))


def balances(out: list[Any], epochs: Sequence[Sequence[Step]]) -> None:
    """Assert that each event and each part of its notifications has one end."""
    decided = [one for one in outcomes(out) if one.origin]
    found = {one.outcome_id: one for one in decided}
    assert all(found[one.outcome_id] == one for one in decided), "copies are equal"
    ends: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    parts: defaultdict[str, set[bool]] = defaultdict(set)
    for one in found.values():
        subject = one.notification_id or one.origin, one.channel, one.target
        if one.status in FINAL or one.status == Status.ADMITTED:
            ends[subject].append(one.status)
            parts[subject[0]].add(one.channel == "*")
    for said in ends.values():
        assert said.count(Status.ADMITTED) <= 1
        assert len(said) - said.count(Status.ADMITTED) <= 1
    assert all(len(each) == 1 for each in parts.values()), "as a whole, or channel by channel"
    given = [step.item for steps in epochs for step in steps if isinstance(step, GateInput)]
    events = {str(one.origin) for one in given if isinstance(one, Event)}
    assert {one.origin for one in found.values() if one.origin.startswith("events/")} == events
    for held in (one for one in found.values() if one.status == Status.HELD and one.notification_id):
        assert any(end[0] == held.notification_id and held.channel in ("*", end[1]) for end in ends)


@settings(max_examples=25, deadline=None)
@given(lives)
def test_a_process_that_dies_around_an_edit_says_what_an_unbroken_one_says(
    gates: list[Gate], epochs: list[Epoch]
) -> None:
    with TemporaryDirectory() as name:
        life = Life(Path(name, "broken"), gates)
        for epoch in epochs:
            life.live(epoch)
        out = life.end()
        balances(out, life.epochs)
        assert told(out) == told(unbroken(Path(name, "whole"), gates, life.epochs))
