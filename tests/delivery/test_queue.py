from collections import defaultdict

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tocsin.delivery.queue import DeliveryQueue, QueuePolicy

Job = tuple[str, int]


def queues(**bounds: int) -> DeliveryQueue[str]:
    return DeliveryQueue(QueuePolicy(**bounds))


def taken(held: DeliveryQueue[str]) -> list[str]:
    out = []
    while (job := held.take()) is not None:
        out.append(job)
    return out


def test_a_user_has_one_message_out_at_a_time_in_order() -> None:
    held = queues()
    for job in ("a1", "a2", "a3"):
        held.add("t", "ann", job)
    held.add("t", "bob", "b1")
    assert taken(held) == ["a1", "b1"]
    held.finish("ann")
    assert taken(held) == ["a2"]


def test_credits_bound_active_heads_whoever_has_a_backlog() -> None:
    held = queues(credits=2)
    for i in range(50):
        held.add("t", "hot", f"h{i}")
    held.add("t", "ann", "a1")
    held.add("t", "bob", "b1")
    assert taken(held) == ["h0", "a1"]
    held.finish("hot")
    assert taken(held) == ["b1"]


def test_a_waiting_head_gives_its_credit_back_and_keeps_its_place() -> None:
    held = queues(credits=1)
    held.add("t", "ann", "a1")
    held.add("t", "ann", "a2")
    held.add("t", "bob", "b1")
    assert taken(held) == ["a1"]
    held.wait("ann", 100)
    assert taken(held) == ["b1"]
    held.finish("bob")
    held.wake(99)
    assert taken(held) == []
    assert held.next_due() == 100
    held.wake(100)
    assert taken(held) == ["a1"]


def test_tenants_take_turns() -> None:
    held = queues(credits=4)
    for i in range(100):
        held.add("flood", f"f{i}", f"f{i}")
    held.add("small", "s", "s")
    assert taken(held) == ["f0", "s", "f1", "f2"]


def test_parked_heads_come_back_by_group_oldest_first() -> None:
    held = queues()
    for user in ("a", "b", "c"):
        held.add("t", user, user)
    for user in taken(held):
        held.park(user, ("other",) if user == "b" else ("mail",))
    assert held.unpark(("mail",), 1) == ["a"]
    assert taken(held) == ["a"]
    assert held.unpark(("mail",), 10) == ["c"]
    assert held.parked_groups == [("other",)]


def test_a_parked_head_wakes_by_its_own_time() -> None:
    held = queues()
    held.add("t", "ann", "a1")
    taken(held)
    held.park("ann", ("mail",), until_ms=500)
    held.wake(500)
    assert taken(held) == ["a1"]
    assert held.unpark(("mail",), 10) == []


def test_a_crowd_behind_a_waiting_head_names_the_head_once() -> None:
    held = queues(backlog_limit=2)
    held.add("t", "ann", "a1")
    taken(held)
    held.wait("ann", 1_000)
    for job in ("a2", "a3"):
        held.add("t", "ann", job)
        assert held.over_backlog_limit("ann") is None
    held.add("t", "ann", "a4")
    assert held.over_backlog_limit("ann") == "a1"
    assert held.over_backlog_limit("ann") is None
    assert taken(held) == ["a1"]


def test_one_users_backlog_leaves_room_for_the_rest() -> None:
    held = queues(credits=10, buffered=100, user_share=10, hard_factor=4)
    for i in range(90):
        held.add("t", "hot", f"h{i}")
    assert held.room() == 90
    for i in range(310):
        held.add("t", "hot", f"h{i}")
    assert held.room() == 0, "memory stays bounded"


def test_spare_is_what_urgent_work_leaves() -> None:
    held = queues(credits=10, buffered=100)
    assert held.spare() == 10
    for i in range(7):
        held.add("t", f"u{i}", "x")
    assert held.spare() == 3
    for i in range(7, 20):
        held.add("t", f"u{i}", "x")
    assert held.spare() == 0


def test_only_an_active_head_can_finish() -> None:
    held = queues()
    held.add("t", "ann", "a1")
    with pytest.raises(AssertionError):
        held.finish("ann")


class InflightMachine(RuleBasedStateMachine):
    """Never lost, never twice, in order, capacity held: against a list a user."""

    def __init__(self) -> None:
        super().__init__()
        self.held: DeliveryQueue[Job] = DeliveryQueue(
            QueuePolicy(credits=3, buffered=12, user_share=4, hard_factor=3, backlog_limit=3)
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
        self.held.add("t1" if user < "c" else "t2", user, job)
        self.held.over_backlog_limit(user)

    @rule()
    def take(self) -> None:
        job = self.held.take()
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
        self.held.finish(user)

    @precondition(lambda self: self.active)
    @rule(data=st.data(), ms=st.integers(0, 50))
    def wait(self, data: st.DataObject, ms: int) -> None:
        user = data.draw(st.sampled_from(sorted(self.active)))
        del self.active[user]
        self.held.wait(user, self.now_ms + ms)

    @precondition(lambda self: self.active)
    @rule(data=st.data(), group=st.sampled_from("xy"), ms=st.sampled_from([0, 20]))
    def park(self, data: st.DataObject, group: str, ms: int) -> None:
        user = data.draw(st.sampled_from(sorted(self.active)))
        del self.active[user]
        self.held.park(user, (group,), self.now_ms + ms if ms else 0)

    @rule(group=st.sampled_from("xy"), most=st.integers(0, 4))
    def unpark(self, group: str, most: int) -> None:
        assert len(self.held.unpark((group,), most)) <= most

    @rule(ms=st.integers(0, 60))
    def wake(self, ms: int) -> None:
        self.now_ms += ms
        self.held.wake(self.now_ms)

    @invariant()
    def capacity(self) -> None:
        assert self.held.active == len(self.active) <= 3
        assert self.held.total == sum(map(len, self.expected.values()))

    @invariant()
    def room_counts_each_user_up_to_its_share(self) -> None:
        counted = sum(min(len(jobs), 4) for jobs in self.expected.values())
        assert self.held.room() == max(0, min(12 - counted, 36 - self.held.total))

    def teardown(self) -> None:
        """Whatever is left can be finished, in order."""
        for user in list(self.active):
            self.held.wait(user, 0)
        self.active.clear()
        while self.held.total:
            self.held.wake(10**9)
            for group in self.held.parked_groups:
                self.held.unpark(group, 100)
            job = self.held.take()
            assert job is not None, "a job was lost"
            assert job == self.expected[job[0]].pop(0)
            self.held.finish(job[0])


TestInflightMachine = InflightMachine.TestCase
