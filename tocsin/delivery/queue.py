"""Per-user order and credits of one channel: which messages may be at a provider now. Pure, no clock.

Every user has a queue; only its head moves. A head is ready, active (it holds a credit), waiting for a due
time, or parked (no provider of its group is up). So a user holds at most one credit, and those behind a
waiting head wait with it. Ready heads are served round robin by tenant.
"""

from collections import OrderedDict, deque
from enum import Enum
from heapq import heappop, heappush
from typing import Generic, TypeVar

import msgspec

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

    __slots__ = ("due_ms", "head", "jobs", "tenant", "user")

    def __init__(self, tenant: str, user: str) -> None:
        self.tenant = tenant
        self.user = user
        self.jobs: deque[J] = deque()
        self.head = _Head.READY
        self.due_ms = 0


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
        self._ready: OrderedDict[str, deque[_Queue[J]]] = OrderedDict()
        self._waiting: list[tuple[int, int, _Queue[J]]] = []
        self._parked: dict[tuple[str, ...], deque[_Queue[J]]] = {}
        self._sequence = 0

    def add(self, tenant: str, user: str, job: J) -> None:
        """Put a job at the end of its user's queue."""
        queue = self._queues.get(user)
        if queue is None:
            queue = self._queues[user] = _Queue(tenant, user)
            self._make_ready(queue)
        queue.jobs.append(job)
        self.total += 1
        self._counted += len(queue.jobs) <= self.policy.user_share

    def take(self) -> J | None:
        """Start the next ready head, if a credit is free."""
        if self.active >= self.policy.credits or not self._ready:
            return None
        tenant, queues = self._ready.popitem(last=False)
        queue = queues.popleft()
        if queues:
            self._ready[tenant] = queues
        queue.head = _Head.ACTIVE
        self.active += 1
        return queue.jobs[0]

    def finish(self, user: str) -> None:
        """The active head of this user has left; the next one is ready."""
        queue = self._release(user)
        self._counted -= len(queue.jobs) <= self.policy.user_share
        queue.jobs.popleft()
        self.total -= 1
        if queue.jobs:
            self._make_ready(queue)
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
        self._parked.setdefault(group, deque()).append(queue)
        if until_ms:
            self._wake_at(queue, until_ms)

    def unpark(self, group: tuple[str, ...], most: int) -> list[J]:
        """Make up to `most` heads of a group ready, oldest first; returns them."""
        parked = self._parked.get(group, deque())
        freed: list[J] = []
        while parked and len(freed) < most:
            queue = parked.popleft()
            if queue.head is _Head.PARKED:  # else it woke up by its time
                self._make_ready(queue)
                freed.append(queue.jobs[0])
        if not parked:
            self._parked.pop(group, None)
        return freed

    def wake(self, now_ms: int) -> None:
        """Make the waiting and parked heads due by now ready."""
        while self._waiting and self._waiting[0][0] <= now_ms:
            due_ms, _, queue = heappop(self._waiting)
            if queue.head in (_Head.WAITING, _Head.PARKED) and queue.due_ms == due_ms:
                self._make_ready(queue)

    def over_backlog_limit(self, user: str) -> J | None:
        """If too many messages stand behind this user's waiting head, make it ready and return it."""
        queue = self._queues.get(user)
        if queue is None or queue.head is not _Head.WAITING:
            return None
        if len(queue.jobs) - 1 <= self.policy.backlog_limit:
            return None
        self._make_ready(queue)
        return queue.jobs[0]

    def next_due(self) -> int | None:
        """When the earliest waiting or parked head may be due (it may have left meanwhile)."""
        return self._waiting[0][0] if self._waiting else None

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
        queue.due_ms = due_ms
        self._sequence += 1
        heappush(self._waiting, (due_ms, self._sequence, queue))

    def _release(self, user: str) -> _Queue[J]:
        queue = self._queues[user]
        assert queue.head is _Head.ACTIVE, "only an active head can finish, wait or park"
        self.active -= 1
        return queue

    def _make_ready(self, queue: _Queue[J]) -> None:
        queue.head = _Head.READY
        self._ready.setdefault(queue.tenant, deque()).append(queue)
