"""Random epochs, crashes between any two steps, and resumes, against a plain dict."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.store.rig import LANES, Rig
from tocsin.store import Timer

LANE = st.sampled_from(LANES[:3])
USERS = [f"t/u{number}" for number in range(6)]
USER = st.sampled_from(USERS)
TIMER_ID = st.sampled_from(["digest", "retry", "wait"])
DUE = st.integers(0, 40)
PUBLISH_STOPS = ("none shown", "one shown")
CRASHES = (
    "before closing",
    "after closing",
    "after snapshots",
    "stored",
    *PUBLISH_STOPS,
    "applied",
    "confirmed",
)

TimerKey = tuple[str, str]


@dataclass
class Model:
    """What the shard must be: records and timers of each lane, and the records shown."""

    records: dict[str, dict[str, str]] = field(default_factory=lambda: {key: {} for key in LANES})
    timers: dict[str, dict[TimerKey, tuple[int, bytes]]] = field(
        default_factory=lambda: {key: {} for key in LANES}
    )
    emitted: list[str] = field(default_factory=list)

    def copy(self) -> "Model":
        """Copy all that changes."""
        return Model(
            {key: dict(users) for key, users in self.records.items()},
            {key: dict(timers) for key, timers in self.timers.items()},
            list(self.emitted),
        )

    def first_due(self, lane: str) -> int | None:
        """When the first timer is due."""
        return min((due for due, _ in self.timers[lane].values()), default=None)

    def pop(self, lane: str, timer: Timer) -> None:
        """Fire a timer, which must be one of the first."""
        assert timer.due_ms == self.first_due(lane)
        assert self.timers[lane].pop((timer.user, timer.timer_id)) == (timer.due_ms, timer.payload)


class Crashes(RuleBasedStateMachine):
    """`now` is the model of the open epoch, `durable` that of the last stored one."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(prefix="tocsin-state-"))
        self.rig = Rig(self.path)
        self.now = Model()
        self.durable = Model()
        self.serial = 0

    def teardown(self) -> None:
        self.rig.shard.durable()
        self._commit()
        self.rig.shard.finish()
        self.rig.shard.close()
        self._check_shown(complete=True)
        shutil.rmtree(self.path)

    def _next(self, what: str) -> str:
        self.serial += 1
        return f"{what}{self.serial}"

    @initialize(users=st.integers(0, 3))
    def preload(self, users: int) -> None:
        for number in range(users):
            self.put(LANES[0], f"t/u{number}")

    @rule(lane=LANE, user=USER)
    def put(self, lane: str, user: str) -> None:
        record = self._next("record")
        self.rig.lane(lane).put(user, record)
        self.now.records[lane][user] = record

    @rule(lane=LANE, user=USER)
    def erase(self, lane: str, user: str) -> None:
        self.rig.lane(lane).put(user, None)
        self.now.records[lane].pop(user, None)

    @rule(lane=LANE, user=USER)
    def get(self, lane: str, user: str) -> None:
        assert self.rig.lane(lane).get(user) == self.now.records[lane].get(user)

    @rule(lane=LANE, user=USER, timer_id=TIMER_ID, due=DUE)
    def hold(self, lane: str, user: str, timer_id: str, due: int) -> None:
        payload = self._next("payload").encode()
        self.rig.lane(lane).hold(user, timer_id, due, payload)
        self.now.timers[lane][user, timer_id] = due, payload

    @rule(lane=LANE, user=USER, first_due=DUE)
    def hold_many(self, lane: str, user: str, first_due: int) -> None:
        """More than a lane keeps in memory."""
        for number in range(600):
            due, payload = first_due + number % 7, self._next("payload").encode()
            self.rig.lane(lane).hold(user, f"n{number}", due, payload)
            self.now.timers[lane][user, f"n{number}"] = due, payload

    @rule(lane=LANE, user=USER, timer_id=TIMER_ID, wrong=st.sampled_from([0, 0, 1]))
    def release(self, lane: str, user: str, timer_id: str, wrong: int) -> None:
        due, _ = self.now.timers[lane].get((user, timer_id), (0, b""))
        self.rig.lane(lane).release(user, timer_id, due + wrong)
        if not wrong:
            self.now.timers[lane].pop((user, timer_id), None)

    @rule(lane=LANE, user=USER, timer_id=TIMER_ID, wrong=st.sampled_from([0, 0, 1]))
    def pick(self, lane: str, user: str, timer_id: str, wrong: int) -> None:
        due, payload = self.now.timers[lane].get((user, timer_id), (0, None))
        found = self.rig.lane(lane).pop(user, timer_id, due + wrong)
        assert found == (None if wrong else payload)
        if not wrong:
            self.now.timers[lane].pop((user, timer_id), None)

    @rule(lane=LANE, now=DUE, limit=st.sampled_from([1, 5, 80]))
    def fire(self, lane: str, now: int, limit: int) -> None:
        for _ in range(limit):
            timer = self.rig.lane(lane).pop_due(now)
            if timer is None:
                first = self.now.first_due(lane)
                assert first is None or first > now
                return
            self.now.pop(lane, timer)
            self._emit(f"fired {timer.timer_id}")

    @rule(number=st.integers(1, 5))
    def emit(self, number: int) -> None:
        for _ in range(number):
            self._emit("sent")

    def _emit(self, what: str) -> None:
        record = self._next(f"{what} ")
        self.rig.emit([record])
        self.now.emitted.append(record)

    @rule()
    def epoch(self) -> None:
        self._commit()
        self.rig.shard.durable()

    @rule(lane=LANE, user=USER, other=USER)
    def epoch_with_writes_in_the_gap(self, lane: str, user: str, other: str) -> None:
        """What is touched between a lane's snapshot and the next batch belongs to the next epoch."""
        self.put(lane, user)
        self._commit()
        self.put(lane, user)
        self.hold(lane, other, "wait", 3)
        self.fire(lane, 9, 5)
        self._emit("late")
        self.rig.shard.durable()

    @rule()
    def epoch_without_news(self) -> None:
        """A row that no `next_batch` follows: the next one must carry its content too."""
        self._commit()

    def _commit(self) -> None:
        self.rig.commit()
        self.durable = self.now.copy()

    @rule(at=st.sampled_from(CRASHES), lose_unsynced=st.booleans(), lanes_first=st.booleans())
    def crash(self, at: str, lose_unsynced: bool, lanes_first: bool) -> None:
        backup = self._advance_to(at)
        self.rig.shard.close()
        if backup and lose_unsynced:
            self.rig.roll_back(backup)
        self.rig.start(lanes_first=lanes_first)
        self.now = self.durable.copy()
        self._check_shown(complete=False)

    def _advance_to(self, at: str) -> Path | None:
        """Walk to the crash point; return the base as it was before the epoch was applied, if it was."""
        if at == "before closing":
            return None
        if at == "after closing":
            self.rig.shard.closing()
            return None
        if at == "after snapshots":
            self.rig.snapshots()
            return None
        self._commit()
        return None if at == "stored" else self._apply_until(at)

    def _apply_until(self, at: str) -> Path | None:
        backup = self.rig.backup()
        if at in PUBLISH_STOPS:
            self.rig.world.leaves = PUBLISH_STOPS.index(at)
        self.rig.shard.durable()
        if at == "confirmed":
            self.rig.shard.closing()
            return None
        return backup

    @invariant()
    def holds_what_was_written(self) -> None:
        for key in LANES:
            lane = self.rig.shard.lane(key)
            timers = self.now.timers[key]
            assert lane.held() == len(timers)
            assert lane.next_due() == self.now.first_due(key)
            users = USERS[self.serial % 3 :: 2]
            assert {user: lane.get(user) for user in users} == {
                user: self.now.records[key].get(user) for user in users
            }

    def _check_shown(self, *, complete: bool) -> None:
        """Shown are records of durable epochs only, in order; copies aside, each once; at the end all."""
        shown = list(dict.fromkeys(self.rig.world.shown))
        assert shown == self.durable.emitted[: len(shown)]
        if complete:
            assert shown == self.now.emitted


def test_random_epochs_with_crashes_between_any_two_steps() -> None:
    run_state_machine_as_test(
        Crashes,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_model_notices_a_lost_record(tmp_path: Path) -> None:
    """The judge is judged: a world that swallows one record is found out."""

    class Deaf(Crashes):
        def _check_shown(self, *, complete: bool) -> None:
            self.rig.world.shown = self.rig.world.shown[1:]
            super()._check_shown(complete=complete)

    machine: Any = Deaf()
    machine.emit(2)
    machine.epoch()
    try:
        machine.teardown()
    except AssertionError:
        return
    raise AssertionError("not noticed")
