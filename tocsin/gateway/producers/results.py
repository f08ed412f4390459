"""What a producer is told of each event that was sent."""

import msgspec

from tocsin.gateway.problems import FieldError, Problem


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event that Kafka has.

    Attributes:
        event_id: of the event: with it the story is read and what waits is cancelled.
        notification_id: where it is known already: of a notification that was asked for by name.
        origin: place of the event, topic/partition/offset.
    """

    event_id: str
    notification_id: str = ""
    origin: str = ""


class Result(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one event of a request.

    Attributes:
        index: number of its item in the request, from 0.
        status: 202 once Kafka has it, 413 or 422 if it was refused, 503 if it may be sent again.
        detail: of a refusal, what is wrong and the cure.
        errors: of a refusal, field, kind and cure.
    """

    index: int
    status: int
    event_id: str = ""
    notification_id: str = ""
    origin: str = ""
    detail: str = ""
    errors: list[FieldError] = []


class Results(msgspec.Struct, frozen=True):
    """What became of the events of a request: those with 202 stay accepted whatever became of others."""

    accepted: int
    refused: int
    results: list[Result]


def refused(index: int, problem: Problem, event_id: str = "") -> Result:
    """Tell that one was refused, or may be sent again."""
    return Result(
        index=index,
        status=problem.status,
        event_id=event_id,
        detail=problem.detail,
        errors=problem.errors,
    )


def status_of(results: Results) -> int:
    """Choose the status of the whole: 202 if all are accepted, 207 if only some are.

    >>> status_of(Results(1, 1, []))
    207
    """
    return 202 if not results.refused else 207


def all_refused(results: list[Result]) -> Problem:
    """Refuse a request of which nothing was accepted; what may be sent again prevails."""
    status = max(one.status for one in results)
    errors = [error for one in results for error in one.errors]
    details = dict.fromkeys(one.detail for one in results)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    headers = {"retry-after": "2"} if status == 503 else None
    return Problem(
        status, f"nothing was accepted: {next(iter(details))}{more}", errors=errors, headers=headers
    )
