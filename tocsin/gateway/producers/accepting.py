"""Checks events, writes them to Kafka, and tells of each what became of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tocsin.gateway.endpoints import Answer
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.problems import Problem
from tocsin.gateway.producers.results import Accepted, Result, Results, all_refused, refused, status_of
from tocsin.gateway.producers.sent import Sent, SentIndex
from tocsin.gateway.writer import Failure, Placed, Record
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.ids import notification_id

REQUEST_BYTES: Final = 12
"""Of the name of a request, with which the ids of its events begin."""
AT_ONCE: Final = 100
"""Events that are checked in one go: others who wait for the loop wait some milliseconds at most."""


class Ready(NamedTuple):
    """An event that the gate will accept.

    Attributes:
        number: of its item in the request.
        event: as the gate will read it.
        record: what is written.
        is_first: whether no earlier record can have its id.
    """

    number: int
    event: Event
    record: Record
    is_first: bool


class Plan(NamedTuple):
    """A request that was checked: what is written, and what was refused."""

    ready: list[Ready]
    refused: list[Result]
    is_list: bool
    request: str

    def check(self) -> None:
        """Refuse a request of which nothing can be written, before it uses up its idempotency key.

        Raises:
            Problem: with what is wrong.
        """
        if not self.ready:
            raise all_refused(self.refused)


def record_of(event: Event, value: bytes) -> Record:
    """Write the record of an event, keyed so that it is read where it is decided."""
    about = event.user or event.topic or event.id
    topic = topics.BULK if event.bulk else topics.EVENTS
    return Record(topic, f"{event.tenant}/{about}".encode(), value)


async def each(count: int, check: Callable[[int], None]) -> None:
    """Check items one after another; others have their turn between them."""
    for number in range(count):
        check(number)
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)


async def accept(gateway: Gateway, index: SentIndex, plan: Plan, *, is_first: bool) -> Answer:
    """Write what is ready, and answer for each event.

    Args:
        gateway: has the writer.
        index: remembers for a while who got what, so that it can be cancelled at once.
        plan: what is written.
        is_first: whether no earlier try of the same request can have written it. Otherwise the gate may have
            decided an earlier record, and the id of the notification is not known.

    Raises:
        Problem: nothing was accepted.
    """
    placed = await gateway.writer.write_all([one.record for one in plan.ready])
    results = [_result(one, place, is_first) for one, place in zip(plan.ready, placed, strict=True)]
    if not plan.is_list and len(results) == 1:
        _raise_failure(placed[0])
    _remember(index, plan, results)
    return _answer(plan, results)


def _raise_failure(place: Placed | Failure) -> None:
    if isinstance(place, Failure):
        raise place.problem


def _answer(plan: Plan, results: list[Result]) -> Answer:
    if not plan.is_list and len(results) == 1:
        (one,) = results
        return Answer(202, Accepted(one.event_id, one.notification_id, one.origin))
    every = sorted([*results, *plan.refused], key=lambda one: one.index)
    accepted = sum(one.status == 202 for one in every)
    if not accepted:
        raise all_refused(every)
    whole = Results(accepted, len(every) - accepted, every)
    return Answer(status_of(whole), whole)


def _result(ready: Ready, place: Placed | Failure, is_first: bool) -> Result:
    event = ready.event
    if isinstance(place, Failure):
        return refused(ready.number, place.problem, event.id)
    origin = f"{ready.record.topic}/{place.partition}/{place.offset}"
    name = event.asked.notification if event.asked is not None else ""
    known = name and event.user and is_first and ready.is_first
    nid = notification_id(event.tenant, event.source, event.id, event.user, name, origin) if known else ""
    return Result(index=ready.number, status=202, event_id=event.id, notification_id=nid, origin=origin)


def _remember(index: SentIndex, plan: Plan, results: Sequence[Result]) -> None:
    sent = [
        Sent.of(one.event, result.origin, result.notification_id)
        for one, result in zip(plan.ready, results, strict=True)
        if result.status == 202
    ]
    if sent:
        index.note(plan.ready[0].event.tenant, plan.request, sent)


def refuse(index: int, problem: Problem, *, is_list: bool) -> Result:
    """Refuse one item of a list; a request of one is refused as a whole.

    Raises:
        Problem: the request is no list, or the item names a tenant of somebody else.
    """
    if not is_list or problem.status == 403:
        raise problem
    return refused(index, problem)
