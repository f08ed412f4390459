"""`GET /v1/broadcasts` and `GET /v1/broadcasts/{id}`: how far broadcasts are, as ClickHouse knows."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client
from redis.exceptions import RedisError

from dashboards import queries
from dashboards.web.problem import Problem as NoFigures
from tocsin.gateway.broadcasts.bodies import Broadcasts, Progress
from tocsin.gateway.broadcasts.events import SOURCE, rfc3339
from tocsin.gateway.broadcasts.notes import Note, Notes
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.problems import Problem, not_ready

_RUNS: Final = {"broadcast": "running", "paused": "paused", "uploading": "uploading"}
_COUNTS: Final = ("users", "reached", "admitted", "held", "missed")
_OF_IT: Final = """
    tenant = {tenant:String} AND event_id = {event:String} AND event_source = {source:String} AND hour IN
    (
        SELECT hour FROM outcome_hours WHERE tenant = {tenant:String} AND id = cityHash64({event:String})
    )
"""
_WHOLE: Final = f"""
SELECT notification_id, status, reason, attempt, at_ms, detail
FROM outcomes
WHERE user = '' AND {_OF_IT}
LIMIT 1 BY outcome_id
"""  # noqa: S608 -- the condition is a constant, and the values are bound
_USERS: Final = f"""
SELECT uniqCombined64(user) AS reached, uniqCombined64If(user, status = 'admitted') AS admitted,
    uniqCombined64If(user, status = 'held') AS held
FROM outcomes
WHERE user != '' AND {_OF_IT}
"""  # noqa: S608 -- the condition is a constant, and the values are bound


async def known(call: Call, name: str) -> Note:
    """Return what is noted about a broadcast of the caller's tenant.

    Raises:
        Problem: there is no such broadcast (404), or nobody can tell (503).
    """
    note, is_away = await _note(call, name)
    if note is not None:
        return note
    try:
        if await _figures(call, name) is not None:
            return Note("", False, {})
    except NoFigures:
        if is_away:
            msg = "Redis and ClickHouse are away: nobody knows the broadcast; try again"
            raise not_ready(msg) from None
    raise Problem(404, "this tenant has no such broadcast")


async def _note(call: Call, name: str) -> tuple[Note | None, bool]:
    """Read the note of a broadcast, and tell whether Redis is away."""
    notes = Notes(call.gateway.redis, call.gateway.settings.topic_prefix)
    try:
        return await notes.find(call.tenant, name), False
    except (RedisError, OSError):
        return None, True


async def _progress(call: Call) -> Answer:
    name = call.path["id"]
    note, _ = await _note(call, name)
    try:
        found = await _figures(call, name)
    except NoFigures:
        if note is None:
            raise
        found = None
    if found is None and note is None:
        raise Problem(404, "this tenant has no such broadcast")
    found = found or Progress(name, "accepted")
    upload = note.upload if note else None
    return Answer(200, msgspec.structs.replace(found, upload=upload))


async def _figures(call: Call, name: str) -> Progress | None:
    """Ask ClickHouse for one broadcast; None if it knows none."""
    about = {"tenant": call.tenant, "event": name, "source": SOURCE}
    return await call.gateway.clickhouse.ask(("broadcast", about), partial(_ask, about))


def _ask(about: Mapping[str, str], client: Client) -> Progress | None:
    rows = list(client.query(_WHOLE, parameters=dict(about)).named_results())
    found = summed_up(about["event"], rows)
    if found is None or found.state not in _RUNS.values():
        return found
    (seen,) = client.query(_USERS, parameters=dict(about)).named_results()
    users = max(found.users, seen["reached"])
    return msgspec.structs.replace(found, **seen, users=users)


def summed_up(name: str, rows: Iterable[Mapping[str, Any]]) -> Progress | None:
    """Sum up the outcomes of a broadcast and its parts; those of a repeated request count for nothing."""
    whole: dict[str, list[Mapping[str, Any]]] = {}
    parts: list[Mapping[str, Any]] = []
    for row in rows:
        detail = msgspec.json.decode(row["detail"] or "{}")
        one = {**row, "detail": detail}
        if "key_group" in detail:
            parts.append(one)
        else:
            whole.setdefault(row["notification_id"], []).append(one)
    if not whole:
        return None
    chosen = max(whole.values(), key=lambda found: any(one["status"] == "held" for one in found))
    return _summed_up(name, chosen, parts)


def _summed_up(name: str, whole: list[Mapping[str, Any]], parts: list[Mapping[str, Any]]) -> Progress:
    last = max(whole, key=lambda one: (one["status"] != "held", one["attempt"], one["at_ms"]))
    first = min(whole, key=lambda one: one["at_ms"])
    is_over = last["status"] != "held"
    counts = {one: sum(int(part["detail"].get(one, 0)) for part in parts) for one in _COUNTS}
    if is_over and "reached" in last["detail"]:
        counts = {one: int(last["detail"].get(one, 0)) for one in _COUNTS}
    found = Progress(
        name,
        last["status"] if is_over else _RUNS.get(last["reason"], "running"),
        to=str(first["detail"].get("segment", "")),
        rate=int(first["detail"].get("rate", 0)),
        started=rfc3339(first["at_ms"]),
        ended=rfc3339(last["at_ms"]) if is_over else None,
        parts=len(parts),
        reason=last["reason"] if is_over else "",
        error=str(last["detail"].get("error", "")),
    )
    return msgspec.structs.replace(found, **counts)


async def _all(call: Call) -> Answer:
    about = {"tenant": call.tenant}
    rows = await call.gateway.clickhouse.ask(
        ("broadcasts", about), lambda client: queries.run(client, "broadcasts", about)
    )
    return Answer(200, Broadcasts([_listed(row) for row in rows]))


def _listed(row: Mapping[str, Any]) -> Progress:
    ended = row["ended"]
    return Progress(
        row["event"],
        row["state"],
        to=row["segment"],
        started=_written(row["started"]),
        ended=None if ended is None else _written(ended),
        reached=row["reached"],
        admitted=row["admitted"],
        parts=row["parts"],
    )


def _written(at: Any) -> str:
    return str(at.isoformat()) if hasattr(at, "isoformat") else str(at)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/broadcasts",
        _all,
        "List the broadcasts of the tenant, the newest first.",
        scope="broadcasts:read",
        answers={200: Broadcasts},
    ),
    Endpoint(
        "GET",
        "/v1/broadcasts/{id}",
        _progress,
        "Tell how far a broadcast is.",
        scope="broadcasts:read",
        answers={200: Progress},
    ),
)
