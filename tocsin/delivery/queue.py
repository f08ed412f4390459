"""Per-user order and credits of one channel: which messages may be at a provider now. Pure, no clock.

Every user has a queue; only its head moves. A head is ready, active (it holds a credit), waiting for a due
time, or parked (no provider of its group may be called). So a user holds at most one credit, and those behind
a waiting head wait with it. Ready heads are served round robin by tenant. Of a tenant, users with an urgent
message go first, then old and new ones in turns (`tocsin.delivery.turns`).
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

import msgspec

from tocsin.delivery.turns import Place, Turns

J = TypeVar("J")


class QueuePolicy(msgspec.Struct, frozen=True):
    """Bounds of one channel.

    Attributes:
        credits: heads active at once.
        buffered: messages held in all; of one user only the first `user_share` count.
        user_share: so a single user's backlog cannot use up the bound.
        hard_factor: `buffered` times this is the bound with every message counted (memory).
        backlog_limit: more messages than this behind a waiting head return the head to the gate at once.
    """

    credits: int = 512
    buffered: int = 4_096
    user_share: int = 16
    hard_factor: int = 4
    backlog_limit: int = 64


class _Head(Enum):
    READY = "ready"
    ACTIVE = "active"
    WAITING = "waiting"
    PARKED = "parked"


class _Queue(Generic[J]):
    """One user's messages, and the state of their head."""

    __slots__ = ("group", "head", "jobs", "retaken", "tenant", "urgent", "user", "wake")

    def __init__(self, tenant: str, user: str) -> None:
        self.tenant = tenant
        self.user = user
        self.jobs: deque[J] = deque()
        self.head = _Head.READY
        self.urgent: deque[J] | None = None  # those of `jobs` that are, if any ever was
        self.group: tuple[str, ...] = ()  # where it is parked
        self.wake = 0  # number of its entry among the timed ones; 0 for none
        self.retaken = False  # it had a turn and could not use it


class DeliveryQueue(Generic[J]):
    """Queues by user. Every call is O(1) or O(log waiting) except where it returns a list.

    Guarantees: jobs of a user start in the order they were added, one at a time; never more than
    `credits` are active; no job is forgotten: `total` counts those added and not finished.

    >>> queues = DeliveryQueue[str](QueuePolicy(credits=1))
    >>> queues.add("t", "ann", "first"); queues.add("t", "ann", "second"); queues.take()
    'first'
    >>> queues.take() is None
    True
    >>> queues.finish("ann"); queues.take()
    'second'
    """

    def __init__(self, policy: QueuePolicy) -> None:
        self.policy = policy
        self.active = 0
        self.total = 0
        self._counted = 0
        self._queues: dict[str, _Queue[J]] = {}
        self._ready: OrderedDict[str, Turns[_Queue[J]]] = OrderedDict()
        self._idle: dict[str, Turns[_Queue[J]]] = {}
        self._timed: list[tuple[int, int, _Queue[J]]] = []
        self._timed_count = 0
        self._parked: dict[tuple[str, ...], Turns[_Queue[J]]] = {}
        self._sequence = 0

    def add(self, tenant: str, user: str, job: J, *, urgent: bool = False) -> None:
        """Put a job at the end of its user's queue; an urgent one makes those before it urgent too."""
        queue, new = self._queues.get(user), False
        if queue is None:
            queue, new = _Queue(tenant, user), True
            self._queues[user] = queue
        queue.jobs.append(job)
        self.total += 1
        self._counted += len(queue.jobs) <= self.policy.user_share
        first_urgent = urgent and not queue.urgent
        if urgent:
            queue.urgent = queue.urgent or deque()
            queue.urgent.append(job)
        if new:
            self._make_ready(queue, Place.LAST)
        elif first_urgent:
            self._advance(queue)

    def take(self) -> J | None:
        """Start the next ready head, if a credit is free."""
        if self.active >= self.policy.credits or not self._ready:
            return None
        tenant, turns = self._ready.popitem(last=False)
        queue = turns.pop()
        (self._ready if turns else self._idle)[tenant] = turns
        queue.head = _Head.ACTIVE
        self.active += 1
        return queue.jobs[0]

    def finish(self, user: str) -> None:
        """The active head of this user has left; the next one is ready."""
        queue = self._release(user)
        self._counted -= len(queue.jobs) <= self.policy.user_share
        job = queue.jobs.popleft()
        if queue.urgent and queue.urgent[0] is job:
            queue.urgent.popleft()
        self.total -= 1
        queue.retaken = False
        if queue.jobs:
            self._make_ready(queue, Place.SERVED)
        else:
            del self._queues[user]

    def wait(self, user: str, due_ms: int) -> None:
        """The active head starts again at `due_ms`; its credit is free meanwhile."""
        queue = self._release(user)
        queue.head = _Head.WAITING
        self._wake_at(queue, due_ms)

    def park(self, user: str, group: tuple[str, ...], until_ms: int = 0) -> None:
        """The active head waits for `unpark(group)`, or until `until_ms`; its credit is free meanwhile."""
        queue = self._release(user)
        queue.head = _Head.PARKED
        queue.group = group
        self._parked.setdefault(group, Turns()).add(user, queue, self._place(queue, Place.LAST))
        if until_ms:
            self._wake_at(queue, until_ms)

    def unpark(self, group: tuple[str, ...], most: int) -> list[J]:
        """Make up to `most` heads of a group ready; returns them."""
        parked, freed = self._parked.get(group), list[J]()
        while parked and len(freed) < most:
            queue = parked.pop()
            queue.retaken = True
            self._make_ready(queue, Place.LAST)
            freed.append(queue.jobs[0])
        if not parked:
            self._parked.pop(group, None)
        return freed

    def parked(self, group: tuple[str, ...]) -> int:
        """Count the heads that are parked in a group."""
        return len(self._parked.get(group, ()))

    def urgent(self, group: tuple[str, ...]) -> bool:
        """Tell whether a head with something urgent is parked in a group."""
        parked = self._parked.get(group)
        return parked is not None and parked.urgent

    def wake(self, now_ms: int) -> None:
        """Make the waiting and parked heads due by now ready."""
        while self._timed and self._timed[0][0] <= now_ms:
            _, number, queue = heappop(self._timed)
            if queue.wake == number:
                if queue.head is _Head.PARKED:
                    self._leave(queue)
                self._make_ready(queue, Place.SERVED)

    def over_backlog_limit(self, user: str) -> J | None:
        """If too many messages stand behind this user's waiting head, make it ready and return it."""
        queue = self._queues.get(user)
        if queue is None or queue.head is not _Head.WAITING:
            return None
        if len(queue.jobs) - 1 <= self.policy.backlog_limit:
            return None
        self._make_ready(queue, Place.LAST)
        return queue.jobs[0]

    def next_due(self) -> int | None:
        """When the earliest waiting or parked head may be due (it may have left meanwhile)."""
        return self._timed[0][0] if self._timed else None

    def oldest(self, time_of: Callable[[J], int]) -> int | None:
        """Return the smallest time of a user's first job; from any thread."""
        queues: Iterable[_Queue[J]] = list(self._queues.values())
        jobs = [list(queue.jobs)[:1] for queue in queues]
        return min((time_of(job) for first in jobs for job in first), default=None)

    def waiting_in(self, time_of: Callable[[J], int]) -> dict[tuple[str, ...], tuple[int, int]]:
        """Count the messages of users whose head is parked, and find their oldest; from any thread.

        Args:
            time_of: gives the time of a job.

        Returns:
            By group, how many messages wait and the smallest time of a first one.
        """
        found: dict[tuple[str, ...], tuple[int, int]] = {}
        queues: Iterable[_Queue[J]] = list(self._queues.values())
        for queue in queues:
            jobs, group = list(queue.jobs), queue.group
            if jobs and queue.head is _Head.PARKED:
                count, oldest = found.get(group, (0, time_of(jobs[0])))
                found[group] = (count + len(jobs), min(oldest, time_of(jobs[0])))
        return found

    @property
    def parked_groups(self) -> list[tuple[str, ...]]:
        """Groups with parked heads."""
        return list(self._parked)

    def room(self) -> int:
        """How many more messages may be added."""
        hard = self.policy.buffered * self.policy.hard_factor
        return max(0, min(self.policy.buffered - self._counted, hard - self.total))

    def spare(self) -> int:
        """Credits that nothing held here will need: how much low-priority work may be added."""
        return max(0, min(self.policy.credits - self.total, self.room()))

    def _wake_at(self, queue: _Queue[J], due_ms: int) -> None:
        self._sequence += 1
        queue.wake = self._sequence
        self._timed_count += 1
        heappush(self._timed, (due_ms, queue.wake, queue))
        if len(self._timed) > 2 * self._timed_count + 64:  # heads that left before their time
            self._timed = [each for each in self._timed if each[2].wake == each[1]]
            heapify(self._timed)

    def _release(self, user: str) -> _Queue[J]:
        queue = self._queues[user]
        assert queue.head is _Head.ACTIVE, "only an active head can finish, wait or park"
        self.active -= 1
        return queue

    def _make_ready(self, queue: _Queue[J], place: Place) -> None:
        self._timed_count -= queue.wake > 0
        queue.wake = 0
        queue.head = _Head.READY
        turns = self._ready.get(queue.tenant)
        if turns is None:
            turns = self._idle.pop(queue.tenant) if queue.tenant in self._idle else Turns()
            self._ready[queue.tenant] = turns
        turns.add(queue.user, queue, self._place(queue, place))

    def _place(self, queue: _Queue[J], place: Place) -> Place:
        if queue.urgent:
            return Place.URGENT
        return Place.FIRST if queue.retaken and place is Place.LAST else place

    def _advance(self, queue: _Queue[J]) -> None:
        """Put a user who has become urgent before the others."""
        if queue.head is _Head.PARKED:
            turns = self._parked[queue.group]
        elif queue.head is _Head.READY:
            turns = self._ready[queue.tenant]
        else:
            return
        turns.remove(queue.user)
        turns.add(queue.user, queue, Place.URGENT)

    def _leave(self, queue: _Queue[J]) -> None:
        """Take a parked head out of its group."""
        parked = self._parked[queue.group]
        parked.remove(queue.user)
        if not parked:
            del self._parked[queue.group]
