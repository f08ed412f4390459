"""Fan-out: whom an event reaches, in what order, and whose turn it is, over rows in a dict."""

from bisect import insort
from collections import defaultdict

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from tocsin.decision.fan_out import FanOut, FanOutPolicy
from tocsin.model.event import Event, Origin
from tocsin.model.subscription import FanOutReport, SubscriptionChange
from tocsin.store.timers import Timer

NOON = 1_780_000_000_000
POLICY = FanOutPolicy(partitions=3, window_ms=1_000, keep_ms=5_000)


class Rows:
    """Rows of one partition in a dict, with as much of the store's interface as the fan-out asks for."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.timers: list[tuple[int, str]] = []
        self.read = 0

    def get(self, user: str) -> bytes | None:
        return self.rows.get(user)

    def put(self, user: str, record: bytes | None) -> None:
        self.rows.pop(user, None)
        if record is not None:
            self.rows[user] = record

    def scan(self, start: str, end: str, limit: int) -> list[tuple[str, bytes]]:
        found = sorted((key, value) for key, value in self.rows.items() if start <= key < end)[:limit]
        self.read += len(found)
        return found

    def hold(self, user: str, timer_id: str, due_ms: int, payload: bytes) -> None:
        self.timers = [timer for timer in self.timers if timer[1] != user]
        insort(self.timers, (due_ms, user))

    def pop_due(self, now_ms: int) -> Timer | None:
        if not self.timers or self.timers[0][0] > now_ms:
            return None
        due_ms, user = self.timers.pop(0)
        return Timer(due_ms, user, "k", b"")


def change(user: str, topic: str = "t", *, on: bool = True, since_ms: int = 0) -> SubscriptionChange:
    return SubscriptionChange("lab", topic, user, subscribed=on, since_ms=since_ms)


def event(number: int, topic: str = "t", time_ms: int = NOON) -> Event:
    return Event(
        tenant="lab", id=f"e{number}", source="/s", type="alarm", user="", time_ms=time_ms,
        data=msgspec.Raw(b'{"a":1}'), origin=Origin("events", 0, number), received_ms=NOON, topic=topic,
    )  # fmt: skip


def drained(fan_out: FanOut, limit: int = 2) -> list[tuple[str, str]]:
    """Take turns until no event is open; return event and user in the order they were reached."""
    found = []
    while fan_out.totals.open:
        turn = fan_out.turn(limit)
        found += [(turn.event.id, user) for user in turn.users]
    return found


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def fan_out(rows: Rows) -> FanOut:
    return FanOut(rows, POLICY)


def test_every_subscriber_is_reached_once_and_nobody_else(fan_out: FanOut) -> None:
    for user in ("ann", "bob", "cy/1", "dee"):
        fan_out.subscribe(change(user))
    fan_out.subscribe(change("eve", "t/2"))
    fan_out.subscribe(change("fay", "T"))
    fan_out.subscribe(change("bob", on=False))
    fan_out.begin(event(1), NOON)
    assert drained(fan_out) == [("e1", "ann"), ("e1", "cy/1"), ("e1", "dee")]
    assert (fan_out.totals.subscribers, fan_out.totals.open) == (5, 0)


def test_tenants_with_a_topic_of_one_name_are_apart(fan_out: FanOut) -> None:
    fan_out.subscribe(change("ann"))
    fan_out.subscribe(SubscriptionChange("lab2", "t", "bob", subscribed=True))
    fan_out.begin(replace(event(1), tenant="lab2"), NOON)
    assert drained(fan_out) == [("e1", "bob")]


def test_who_subscribes_after_the_event_is_not_reached_and_who_renews_is(fan_out: FanOut) -> None:
    for user in ("ann", "zoe"):
        fan_out.subscribe(change(user))
    fan_out.begin(event(1), NOON)
    fan_out.turn(1)
    for user in ("bob", "zoe"):
        fan_out.subscribe(change(user))
    assert drained(fan_out) == [("e1", "zoe")]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_users_whose_names_begin_with_another_one_are_reached_in_a_later_turn(
    fan_out: FanOut, limit: int
) -> None:
    users = ["u", "u-1", "u1", "u1/2", "u~", "ué"]
    for user in users:
        fan_out.subscribe(change(user))
    fan_out.begin(event(1), NOON)
    assert [user for _, user in drained(fan_out, limit)] == users


def test_who_unsubscribes_before_the_turn_is_left_out_also_if_subscribed_again(fan_out: FanOut) -> None:
    for user in ("ann", "bob", "cy", "dee"):
        fan_out.subscribe(change(user))
    fan_out.begin(event(1), NOON)
    assert fan_out.turn(1).users == ["ann"]
    fan_out.subscribe(change("bob", on=False))
    fan_out.subscribe(change("cy", on=False))
    fan_out.subscribe(change("cy"))
    assert drained(fan_out) == [("e1", "dee")]


def test_events_before_since_are_not_for_the_user(fan_out: FanOut) -> None:
    fan_out.subscribe(change("ann", since_ms=NOON))
    fan_out.subscribe(change("bob", since_ms=NOON + 1))
    fan_out.begin(event(1), NOON)
    assert drained(fan_out) == [("e1", "ann")]


def test_events_of_one_topic_follow_each_other_and_topics_take_turns(fan_out: FanOut) -> None:
    for user in ("u1", "u2", "u3"):
        fan_out.subscribe(change(user, "big"))
    fan_out.subscribe(change("ann", "small"))
    fan_out.begin(event(1, "big"), NOON)
    fan_out.begin(event(2, "big"), NOON)
    fan_out.begin(event(3, "small"), NOON)
    reached = drained(fan_out, limit=1)
    assert [one for one in reached if one[0] != "e3"] == [
        (e, u) for e in ("e1", "e2") for u in ("u1", "u2", "u3")
    ]
    assert reached.index(("e3", "ann")) <= 1, "one turn later, not behind six"


def test_a_tenant_with_many_topics_gets_no_more_turns_than_one_with_one(fan_out: FanOut) -> None:
    for tenant, topics in (("aa", "pqr"), ("a", "t"), ("a-b", "t")):
        for topic in topics:
            for user in ("u1", "u2", "u3"):
                fan_out.subscribe(SubscriptionChange(tenant, topic, user, subscribed=True))
            fan_out.begin(
                replace(event(ord(topic), topic), tenant=tenant, origin=Origin(tenant, 0, ord(topic))), NOON
            )
    turns = [fan_out.turn(1).event for _ in range(9)]
    tenants = [each.tenant for each in turns]
    assert sorted(tenants) == ["a"] * 3 + ["a-b"] * 3 + ["aa"] * 3
    assert all(len(set(tenants[at : at + 3])) == 3 for at in range(7)), "in turns"
    assert {each.topic for each in turns if each.tenant == "aa"} == set("pqr")


def test_a_turn_reads_no_more_than_its_limit(rows: Rows, fan_out: FanOut) -> None:
    for number in range(100):
        fan_out.subscribe(change(f"u{number:02}"))
    fan_out.begin(event(1), NOON)
    rows.read = 0
    turn = fan_out.turn(10)
    assert (len(turn.users), turn.reached, turn.finished) == (10, 10, False)
    assert rows.read <= 12, "ten subscriptions and two cursors"


def test_a_duplicate_is_known_by_its_original_until_none_can_come(fan_out: FanOut, rows: Rows) -> None:
    assert fan_out.duplicate(event(1), NOON) == ""
    again = replace(event(2), id="e1")
    assert fan_out.duplicate(again, NOON) == "events/0/1"
    assert fan_out.duplicate(replace(again, topic="other"), NOON) == ""
    assert fan_out.duplicate(replace(again, time_ms=NOON + 1_000), NOON) == "", "another event, long after"
    fan_out.expire(NOON + 10_000, 100)
    assert (rows.rows, rows.timers) == ({}, [])


def test_a_second_copy_of_one_record_changes_nothing(fan_out: FanOut) -> None:
    fan_out.subscribe(change("ann"))
    for _ in range(2):
        fan_out.begin(event(1), NOON)
    assert drained(fan_out) == [("e1", "ann")]
    fan_out.begin(event(1), NOON)
    assert drained(fan_out) == []


def test_an_event_ends_with_the_last_report_and_copies_of_one_count_once(fan_out: FanOut, rows: Rows) -> None:
    fan_out.own(event(1))
    for part, users in ((0, 5), (2, 7), (0, 5)):
        assert fan_out.report(FanOutReport(origin="events/0/1", part=part, users=users)) is None
    last = FanOutReport(origin="events/0/1", part=1, users=1)
    assert fan_out.report(last) == (event(1), 13)
    assert fan_out.report(last) is None
    assert rows.rows == {}


def test_an_event_comes_out_as_it_went_in(fan_out: FanOut) -> None:
    full = replace(event(1), send_at_ms=NOON + 5, expires_ms=NOON + 9, bulk=True)
    fan_out.begin(full, NOON)
    assert fan_out.turn(5).event == full


def test_a_topic_without_subscribers_is_finished_at_once_and_leaves_no_row(
    rows: Rows, fan_out: FanOut
) -> None:
    fan_out.begin(event(1), NOON)
    turn = fan_out.turn(5)
    assert (turn.users, turn.finished) == ([], True)
    fan_out.expire(NOON + 10_000, 100)
    assert list(rows.rows) == ["n"]


TOPIC = st.sampled_from(["a", "a/b", "b"])
USER = st.sampled_from(["u", "u-1", "u1", "u1/2", "v"])
"""Some names begin with another one: a turn that ends with that one must not pass over them."""


class Orders(RuleBasedStateMachine):
    """Random orders of subscriptions, events, turns and restarts, against sets of users."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = Rows()
        self.fan_out = FanOut(self.rows, POLICY)
        self.subscribed: dict[str, set[str]] = defaultdict(set)
        self.open: dict[str, tuple[str, set[str], set[str]]] = {}
        self.reached: dict[str, list[str]] = defaultdict(list)
        self.queue: dict[str, list[str]] = defaultdict(list)
        self.waited: dict[str, int] = defaultdict(int)
        self.number = 0

    @rule(user=USER, topic=TOPIC)
    def subscribe(self, user: str, topic: str) -> None:
        self.fan_out.subscribe(change(user, topic))
        self.subscribed[topic].add(user)

    @rule(user=USER, topic=TOPIC)
    def unsubscribe(self, user: str, topic: str) -> None:
        self.fan_out.subscribe(change(user, topic, on=False))
        self.subscribed[topic].discard(user)
        for about, _, must in self.open.values():
            if about == topic:
                must.discard(user)

    @rule(topic=TOPIC)
    def begin(self, topic: str) -> None:
        self.number += 1
        self.fan_out.begin(event(self.number, topic), NOON)
        users = self.subscribed[topic]
        self.open[f"e{self.number}"] = topic, set(users), set(users)
        self.queue[topic].append(f"e{self.number}")

    @rule(limit=st.integers(1, 4))
    def turn(self, limit: int) -> None:
        if not self.open:
            return
        turn = self.fan_out.turn(limit)
        name, topic = turn.event.id, turn.event.topic
        assert self.queue[topic][0] == name, "events of a topic are fanned out in their order"
        may = self.open[name][1]
        assert set(turn.users) <= may & self.subscribed[topic]
        self.reached[name] += turn.users
        assert turn.reached == len(self.reached[name])
        self._take_turns(topic)
        if turn.finished:
            must = self.open.pop(name)[2]
            assert must <= set(self.reached[name]), "who stayed subscribed is reached"
            self.queue[topic].pop(0)

    def _take_turns(self, topic: str) -> None:
        waiting = {name for name, queue in self.queue.items() if queue}
        for other in waiting - {topic}:
            self.waited[other] += 1
            assert self.waited[other] < 3, "no topic waits for more than one turn of each other"
        self.waited[topic] = 0

    @rule()
    def restart(self) -> None:
        """What is in memory is gone: whose turn it was."""
        self.fan_out = FanOut(self.rows, POLICY)
        self.waited.clear()

    @invariant()
    def nobody_twice(self) -> None:
        assert all(len(users) == len(set(users)) for users in self.reached.values())

    @invariant()
    def totals_are_right(self) -> None:
        totals = self.fan_out.totals
        assert totals.subscribers == sum(map(len, self.subscribed.values()))
        assert totals.open == len(self.open)


def test_any_order_of_subscriptions_events_and_turns() -> None:
    run_state_machine_as_test(
        Orders, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
