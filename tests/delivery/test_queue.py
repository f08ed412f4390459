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
    assert taken(held) == ["h0", "b1"]
    held.finish("hot")
    assert taken(held) == ["h1"]
    held.finish("bob")
    assert taken(held) == ["a1"]


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
    assert taken(held) == ["f0", "s", "f99", "f1"]


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


def flood(held: DeliveryQueue[str], count: int = 1_000) -> None:
    """Park messages of as many users, as an outage does."""
    for number in range(count):
        held.add("t", f"old{number}", f"old{number}")
        held.take()
        held.park(f"old{number}", ("mail",))


def drained(held: DeliveryQueue[str], count: int) -> list[str]:
    """Let that many parked heads go, one after the other."""
    gone = []
    for _ in range(count):
        held.unpark(("mail",), 1)
        job = held.take()
        assert job is not None
        gone.append(job)
        held.finish(job)
    return gone


def test_new_messages_and_the_backlog_of_an_outage_are_served_in_turns() -> None:
    held = queues(credits=4_096)
    flood(held)
    for number in range(10):
        held.add("t", f"new{number}", f"new{number}")
        held.take()
        held.park(f"new{number}", ("mail",))
    gone = drained(held, 20)
    assert {f"new{number}" for number in range(10)} <= set(gone), "none waits for the thousand before it"
    assert [job for job in gone if job.startswith("old")] == [f"old{number}" for number in range(10)]


def test_a_critical_message_passes_the_whole_backlog() -> None:
    held = queues(credits=4_096)
    flood(held)
    held.add("t", "ann", "ann", urgent=True)
    held.take()
    held.park("ann", ("mail",))
    assert drained(held, 2) == ["ann", "old0"]


def test_a_critical_message_takes_those_before_it_of_its_user_along() -> None:
    held = queues(credits=4_096)
    flood(held)
    held.add("t", "old500", "second")
    held.add("t", "old500", "urgent", urgent=True)
    held.unpark(("mail",), 1)
    order = []
    for _ in range(3):
        job = held.take()
        assert job is not None
        order.append(job)
        held.finish("old500")
    assert order == ["old500", "second", "urgent"]
    assert drained(held, 1) == ["old0"], "and no more of that user"


def test_a_critical_message_passes_those_that_are_ready() -> None:
    held = queues(credits=2)
    for number in range(50):
        held.add("t", f"u{number}", f"u{number}")
    held.add("t", "u30", "urgent", urgent=True)
    assert taken(held) == ["u30", "u0"]


def test_a_head_that_had_its_turn_for_nothing_keeps_its_place() -> None:
    held = queues()
    flood(held, 5)
    held.unpark(("mail",), 1)
    assert held.take() == "old0"
    held.park("old0", ("mail",))
    assert drained(held, 2) == ["old4", "old0"]


def test_a_user_with_a_long_queue_is_not_the_newest_each_time() -> None:
    held = queues(credits=1)
    for number in range(100):
        held.add("t", "hot", f"hot{number}")
    for number in range(20):
        held.add("t", f"u{number}", f"u{number}")
    gone = []
    for _ in range(30):
        job = held.take()
        assert job is not None
        gone.append(job)
        held.finish("hot" if job.startswith("hot") else job)
    assert sum(job.startswith("hot") for job in gone) <= 11


def test_heads_that_left_before_their_time_are_forgotten() -> None:
    """In an outage each message is parked with its expiry, hours away: what is gone must leave nothing."""
    held = queues()
    for number in range(5_000):
        held.add("t", "ann", f"a{number}")
        held.take()
        held.park("ann", ("mail",), until_ms=10**12)
        held.unpark(("mail",), 1)
        held.take()
        held.finish("ann")
    assert len(held._timed) < 100  # noqa: SLF001 - the bound of memory


def test_the_oldest_message_is_found_whatever_it_waits_for() -> None:
    held = queues()
    assert held.oldest(len) is None
    held.add("t", "ann", "333")
    held.add("t", "bob", "22")
    held.take()
    held.wait("ann", 100)
    assert held.oldest(len) == 2


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

    @rule(user=st.sampled_from("abcdef"), urgent=st.booleans())
    def add(self, user: str, urgent: bool) -> None:
        job = (user, self.next)
        self.next += 1
        self.expected[user].append(job)
        self.held.add("t1" if user < "c" else "t2", user, job, urgent=urgent)
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
