"""Broadcasts over crashes: whatever dies and when, each user is decided once, and a broadcast ends once."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.operators.broadcast_acts import BroadcastActs
from tests.operators.fleet import Fleet
from tests.operators.test_broadcasts import audit, parts, whole
from tocsin.model import topics

USERS = [f"user-{number:02}" for number in range(24)]
ACT = st.sampled_from(["step", "step", "step", "lost", "stored", "copied", "pause", "resume"])


class Story(BroadcastActs):
    """A broadcast, and what happens to its shards."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        for user in USERS:
            fleet.profile(user)
        fleet.run(2)
        fleet.broadcast("b1", tocsinrate=60)

    def check(self) -> None:
        """Let it end, and count."""
        self.act("resume", 0)
        self.fleet.settle()
        assert self.fleet.reached("b1") == USERS
        ends = [one for one in whole(self.fleet) if one[0] != "held"]
        assert ends == [("finished", "")]
        assert len({one.outcome_id for one in parts(self.fleet)}) == 4
        found = self.fleet.topics.read("messages.inapp.bulk")
        assert len({one.value for one in found}) == len(USERS), "a copy equals its original, byte for byte"
        assert audit(self.fleet).reconcile().error == 0


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 2), st.lists(st.tuples(ACT, st.integers(0, 1)), min_size=3, max_size=10))
def test_each_user_exactly_once_whatever_pauses_and_crashes(shards: int, acts: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Fleet(Path(folder), shards))
        for act in acts:
            story.act(*act)
        story.check()
        story.fleet.stop()


def test_a_crash_in_every_epoch_of_a_broadcast_changes_no_record(tmp_path: Path) -> None:
    """Every epoch is done twice: once lost, once stored and published after the restart."""
    calm = Story(Fleet(tmp_path / "calm", 1))
    rough = Story(Fleet(tmp_path / "rough", 1))
    for _ in range(10):
        calm.act("step", 0)
        shard = rough.fleet.members[0]
        shard.read()
        shard.notify()
        shard.kill()
        shard.read()
        shard.notify()
        shard.close_epoch()
        shard.kill()
        rough.fleet.topics.now_ms += 50
    calm.check()
    rough.check()
    for fleet in (calm.fleet, rough.fleet):
        fleet.stop()


def test_under_the_stream_clock_the_same_events_give_the_same_decisions(tmp_path: Path) -> None:
    """Events of others move the time; how often a shard wakes between them changes nothing."""
    said = []
    for wakes in (1, 3):
        fleet = Fleet(tmp_path / str(wakes), 1, stream=True)
        for user in USERS:
            fleet.profile(user)
        fleet.settle()
        for at in range(15):
            moment = f"2026-01-01T00:00:{at:02}Z"
            if at == 1:
                fleet.broadcast("b1", tocsinrate=16, time=moment)
            for user in ("user-01", "user-02", "user-03", "user-04", "user-05", "user-06"):
                fleet.event("alarm", f"{user}-{at}", topics.EVENTS, subject=user, time=moment)
            fleet.run(wakes)
        found = [one for one in fleet.outcomes(event_id="b1") if one.user]
        said.append(sorted((one.user, one.channel, one.at_ms) for one in found))
        fleet.stop()
    assert said[0] == said[1]
    assert {user for user, _, _ in said[0]} == set(USERS)
