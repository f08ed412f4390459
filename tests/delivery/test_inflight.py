from collections import defaultdict

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tocsin.delivery.inflight import Inflight, InflightPolicy

Job = tuple[str, int]


def queues(**bounds: int) -> Inflight[str]:
    return Inflight(InflightPolicy(**bounds))


def taken(inflight: Inflight[str]) -> list[str]:
    out = []
    while (job := inflight.take()) is not None:
        out.append(job)
    return out


def test_a_user_has_one_message_out_at_a_time_in_order() -> None:
    inflight = queues()
    for job in ("a1", "a2", "a3"):
        inflight.add("t", "ann", job)
    inflight.add("t", "bob", "b1")
    assert taken(inflight) == ["a1", "b1"]
    inflight.finish("ann")
    assert taken(inflight) == ["a2"]


def test_credits_bound_active_heads_whoever_has_a_backlog() -> None:
    inflight = queues(credits=2)
    for i in range(50):
        inflight.add("t", "hot", f"h{i}")
    inflight.add("t", "ann", "a1")
    inflight.add("t", "bob", "b1")
    assert taken(inflight) == ["h0", "a1"]
    inflight.finish("hot")
    assert taken(inflight) == ["b1"]


def test_a_waiting_head_gives_its_credit_back_and_keeps_its_place() -> None:
    inflight = queues(credits=1)
    inflight.add("t", "ann", "a1")
    inflight.add("t", "ann", "a2")
    inflight.add("t", "bob", "b1")
    assert taken(inflight) == ["a1"]
    inflight.wait("ann", 100)
    assert taken(inflight) == ["b1"]
    inflight.finish("bob")
    inflight.wake(99)
    assert taken(inflight) == []
    assert inflight.next_due() == 100
    inflight.wake(100)
    assert taken(inflight) == ["a1"]


def test_tenants_take_turns() -> None:
    inflight = queues(credits=4)
    for i in range(100):
        inflight.add("flood", f"f{i}", f"f{i}")
    inflight.add("small", "s", "s")
    assert taken(inflight) == ["f0", "s", "f1", "f2"]


def test_parked_heads_come_back_by_group_oldest_first() -> None:
    inflight = queues()
    for user in ("a", "b", "c"):
        inflight.add("t", user, user)
    for user in taken(inflight):
        inflight.park(user, ("other",) if user == "b" else ("mail",))
    assert inflight.unpark(("mail",), 1) == ["a"]
    assert taken(inflight) == ["a"]
    assert inflight.unpark(("mail",), 10) == ["c"]
    assert inflight.parked_groups == [("other",)]


def test_a_parked_head_wakes_by_its_own_time() -> None:
    inflight = queues()
    inflight.add("t", "ann", "a1")
    taken(inflight)
    inflight.park("ann", ("mail",), until_ms=500)
    inflight.wake(500)
    assert taken(inflight) == ["a1"]
    assert inflight.unpark(("mail",), 10) == []


def test_a_crowd_behind_a_waiting_head_names_the_head_once() -> None:
    inflight = queues(behind=2)
    inflight.add("t", "ann", "a1")
    taken(inflight)
    inflight.wait("ann", 1_000)
    for job in ("a2", "a3"):
        inflight.add("t", "ann", job)
        assert inflight.crowded("ann") is None
    inflight.add("t", "ann", "a4")
    assert inflight.crowded("ann") == "a1"
    assert inflight.crowded("ann") is None
    assert taken(inflight) == ["a1"]


def test_one_users_backlog_leaves_room_for_the_rest() -> None:
    inflight = queues(credits=10, buffered=100, user_share=10, hard_factor=4)
    for i in range(90):
        inflight.add("t", "hot", f"h{i}")
    assert inflight.room() == 90
    for i in range(310):
        inflight.add("t", "hot", f"h{i}")
    assert inflight.room() == 0, "memory stays bounded"


def test_spare_is_what_urgent_work_leaves() -> None:
    inflight = queues(credits=10, buffered=100)
    assert inflight.spare() == 10
    for i in range(7):
        inflight.add("t", f"u{i}", "x")
    assert inflight.spare() == 3
    for i in range(7, 20):
        inflight.add("t", f"u{i}", "x")
    assert inflight.spare() == 0


def test_only_an_active_head_can_finish() -> None:
    inflight = queues()
    inflight.add("t", "ann", "a1")
    with pytest.raises(AssertionError):
        inflight.finish("ann")


class InflightMachine(RuleBasedStateMachine):
    """Never lost, never twice, in order, capacity held: against a list a user."""

    def __init__(self) -> None:
        super().__init__()
        self.inflight: Inflight[Job] = Inflight(
            InflightPolicy(credits=3, buffered=12, user_share=4, hard_factor=3, behind=3)
        )
        self.expected: dict[str, list[Job]] = defaultdict(list)
        self.active: dict[str, Job] = {}
        self.now_ms = 0
        self.next = 0

    @rule(user=st.sampled_from("abcdef"))
    def add(self, user: str) -> None:
        job = (user, self.next)
        self.next += 1
        self.expected[user].append(job)
        self.inflight.add("t1" if user < "c" else "t2", user, job)
        self.inflight.crowded(user)

    @rule()
    def take(self) -> None:
        job = self.inflight.take()
        if job is not None:
            user = job[0]
            assert user not in self.active, "one at a time"
            assert job == self.expected[user][0], "in order"
            self.active[user] = job

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        user = data.draw(st.sampled_from(sorted(self.active)))
        del self.active[user]
        self.expected[user].pop(0)
        self.inflight.finish(user)

    @precondition(lambda self: self.active)
    @rule(data=st.data(), ms=st.integers(0, 50))
    def wait(self, data: st.DataObject, ms: int) -> None:
        user = data.draw(st.sampled_from(sorted(self.active)))
        del self.active[user]
        self.inflight.wait(user, self.now_ms + ms)

    @precondition(lambda self: self.active)
    @rule(data=st.data(), group=st.sampled_from("xy"), ms=st.sampled_from([0, 20]))
    def park(self, data: st.DataObject, group: str, ms: int) -> None:
        user = data.draw(st.sampled_from(sorted(self.active)))
        del self.active[user]
        self.inflight.park(user, (group,), self.now_ms + ms if ms else 0)

    @rule(group=st.sampled_from("xy"), most=st.integers(0, 4))
    def unpark(self, group: str, most: int) -> None:
        assert len(self.inflight.unpark((group,), most)) <= most

    @rule(ms=st.integers(0, 60))
    def wake(self, ms: int) -> None:
        self.now_ms += ms
        self.inflight.wake(self.now_ms)

    @invariant()
    def capacity(self) -> None:
        assert self.inflight.active == len(self.active) <= 3
        assert self.inflight.total == sum(map(len, self.expected.values()))

    @invariant()
    def room_counts_each_user_up_to_its_share(self) -> None:
        counted = sum(min(len(jobs), 4) for jobs in self.expected.values())
        assert self.inflight.room() == max(0, min(12 - counted, 36 - self.inflight.total))

    def teardown(self) -> None:
        """Whatever is left can be finished, in order."""
        for user in list(self.active):
            self.inflight.wait(user, 0)
        self.active.clear()
        while self.inflight.total:
            self.inflight.wake(10**9)
            for group in self.inflight.parked_groups:
                self.inflight.unpark(group, 100)
            job = self.inflight.take()
            assert job is not None, "a job was lost"
            assert job == self.expected[job[0]].pop(0)
            self.inflight.finish(job[0])


TestInflightMachine = InflightMachine.TestCase
