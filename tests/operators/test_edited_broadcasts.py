"""The catalog is edited and shards die during a broadcast and a topic's fan-out: each target has one end.

The segment is changed, the notification goes, the tenant is disabled or its files have mistakes. What is
decided before an edit stays; whoever comes later is decided by the catalog of then, with a reason.
"""

import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.operators.broadcast_acts import BroadcastActs
from tests.operators.fleet import MANY, Fleet
from tests.operators.test_broadcasts import audit
from tocsin.decision.gate import Gate
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import FINAL, Reason, Status

USERS = [f"user-{number:02}" for number in range(16)]
GERMANS = USERS[::2]
TENANT, ALL = "tenants/default.yaml", "notifications/all.yaml"
EDITS = {
    "as ever": (TENANT, "", ""),
    "another segment": (TENANT, "german: user.locale == 'de'", "german: user.locale == 'en'"),
    "no segment": (TENANT, "german: user.locale == 'de'", "others: user.locale == 'en'"),
    "disabled": (TENANT, "limits: []", "limits: []\nstatus: inactive"),
    "mistakes": (TENANT, "limits: []", "limits: 7"),
    "no newsletter": (ALL, "newsletter", "paper"),
    "no alarm": (ALL, "alarm:", "alarm_of_none:"),
    "one channel": (ALL, "[email, inapp]", "[email]"),
}
ACTS = [*EDITS, *["step"] * 6, "lost", "stored", "copied", "pause", "resume"]
Acts = list[tuple[str, int]]


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Gate]:
    """The gate of each edit."""
    fleet = Fleet(tmp_path_factory.mktemp("gates"))
    found = {}
    for name, (file, before, after) in EDITS.items():
        folder = shutil.copytree(MANY, tmp_path_factory.mktemp("catalog") / "catalog")
        text = (folder / file).read_text()
        assert before in text
        (folder / file).write_text(text.replace(before, after))
        fleet.reload(folder)
        found[name] = fleet.gate
    fleet.stop()
    return found


def once(said: list[Outcome]) -> list[Outcome]:
    """Leave out what was said of copies, as crashes leave; one may stand for a replay of what was dead."""
    ends = [one for one in said if one.status in {Status.ADMITTED, *FINAL} and one.reason != Reason.DUPLICATE]
    return [one for one in ends if one.status != Status.DEAD] or ends[:1]


class Story(BroadcastActs):
    """A broadcast to a segment and two events of a topic, and what happens to catalog and shards."""

    def __init__(self, fleet: Fleet, gates: dict[str, Gate]) -> None:
        super().__init__(fleet)
        self._gates = gates
        for user in USERS:
            fleet.profile(user, locale="de" if user in GERMANS else "en")
            fleet.subscribe(user)
        fleet.run(2)
        fleet.broadcast("b1", "german", tocsinrate=30)
        fleet.event("alarm", "t1", topics.EVENTS, tocsintopic="t")
        fleet.event("newsletter", "t2", topics.EVENTS, tocsintopic="t")
        fleet.step()

    def act(self, what: str, member: int) -> None:
        """Let one thing happen to the shards, or edit the catalog."""
        if what in EDITS:
            self.fleet.gate = self._gates[what]
        super().act(what, member)

    def check(self) -> None:
        """Let all of it end by the catalog of before, and count."""
        self.act("as ever", 0)
        self.act("resume", 0)
        self.fleet.topics.now_ms += 60_000
        self.fleet.settle()
        for event_id, users in (("b1", GERMANS), ("t1", USERS), ("t2", USERS)):
            end = self._end(event_id)
            begun = end.status == Status.FINISHED
            assert begun or end.reason
            assert self._ends(event_id).keys() == set(users if begun else ())
        reconciled = audit(self.fleet).reconcile()
        assert (reconciled.error, reconciled.held) == (0, 0)
        self._check_order()

    def _end(self, event_id: str) -> Outcome:
        """Return what became of an event as a whole: the segment and the subscribers of its start count."""
        found = self.fleet.outcomes(event_id=event_id, user="")
        (end,) = once([one for one in found if "key_group" not in one.detail])
        return end

    def _ends(self, event_id: str) -> dict[str, list[Outcome]]:
        """Return what became of an event for each of its users: an end for each target, and why."""
        found: defaultdict[str, list[Outcome]] = defaultdict(list)
        for one in self.fleet.outcomes(event_id=event_id):
            if one.user:
                found[one.user].append(one)
        for user, ends in found.items():
            ends = found[user] = once(ends)
            targets = [(one.channel, one.target) for one in ends]
            assert len(set(targets)) == len(targets)
            assert len({channel == "*" for channel, _ in targets}) == 1
            assert all(one.reason or one.status == Status.ADMITTED for one in ends)
        return found

    def _check_order(self) -> None:
        for channel in ("email", "inapp"):
            order: defaultdict[bytes, list[bytes]] = defaultdict(list)
            for one in self.fleet.topics.read(f"messages.{channel}.now"):
                event_id = next(
                    each for each in (b"t1", b"t2") if b'"event_id":"%s"' % each in (one.value or b"")
                )
                if event_id not in order[one.key or b""]:
                    order[one.key or b""].append(event_id)
            assert all(found == sorted(found) for found in order.values())


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 2), st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 1)), min_size=6, max_size=24)
)
def test_each_target_has_one_end_whatever_is_edited_and_crashes(
    gates: dict[str, Gate], shards: int, acts: Acts
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Fleet(Path(folder), shards), gates)
        for act in acts:
            story.act(*act)
        story.check()
        story.fleet.stop()
