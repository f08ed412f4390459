"""`POST /v1/notifications`: sends one notification or up to 1,000."""

from typing import Final

from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.problems import Problem, ProblemDocument
from tocsin.gateway.producers import checks, items, repeats
from tocsin.gateway.producers.accepting import REQUEST_BYTES, Plan, Ready, accept, each, record_of, refuse
from tocsin.gateway.producers.results import Accepted, Result, Results
from tocsin.gateway.producers.sent import index_of
from tocsin.gateway.random_ids import random_hex
from tocsin.model.ids import digest

MAX_BYTES: Final = 16 << 20
EXAMPLE: Final = {
    "notification": "flight_delayed",
    "to": "ada",
    "data": {"flight": "UA 1545", "delay": 72},
    "channels": ["push", "email"],
    "cancel_key": "UA 1545",
}


class Planner:
    """Checks the items of one request.

    Args:
        call: the request.
        key: its idempotency key; empty for none.
        body: what came.

    Raises:
        Problem: the body has the wrong form.
    """

    def __init__(self, call: Call, key: str, body: bytes) -> None:
        self._call = call
        self._limits = checks.limits_of(call.gateway.settings)
        self._catalog = call.gateway.catalog()
        self._raws, self._is_list = items.items_of(body)
        request = (
            digest("request", call.tenant, key)[: 2 * REQUEST_BYTES] if key else random_hex(REQUEST_BYTES)
        )
        self._origin = items.Origin(call.tenant, request, items.event_time(call.now_ms), True)
        self._ready: list[Ready] = []
        self._refused: list[Result] = []
        self._count = 0

    async def plan(self) -> Plan:
        """Check all items; those of a list that are wrong are refused by themselves."""
        await each(len(self._raws), self._check)
        return Plan(self._ready, self._refused, self._is_list, self._origin.request)

    def _check(self, index: int) -> None:
        at = items.place_of(index, is_list=self._is_list)
        try:
            item = items.read_item(self._raws[index], at)
            self._call.own_tenant(item.tenant, items.joined(at, "tenant"))
            found = self._events(item, index, at)
        except Problem as problem:
            self._refused.append(refuse(index, problem, is_list=self._is_list))
        else:
            self._ready += found

    def _events(self, item: object, index: int, at: str) -> list[Ready]:
        """Check the events of one item: all of them, or none is written."""
        found = []
        for outgoing in items.events_of(item, index, at, self._origin):
            event = checks.read_event(outgoing.value, self._call.now_ms, self._limits, at, checks.FIELDS)
            checks.check_type(event, at, may_control=False)
            checks.check_known(event, self._catalog, at)
            found.append(Ready(index, event, record_of(event, outgoing.value), outgoing.is_first))
        self._count += len(found)
        if self._count > items.MOST:
            raise items.too_many()
        return found


async def _send(call: Call) -> Answer:
    body = await call.raw_body()
    key = repeats.key_of(call)
    try:
        plan = await Planner(call, key, body).plan()
        plan.check()
    except Problem:
        if before := await repeats.answered(call, key, body):
            return before
        raise
    index = index_of(call.gateway)

    async def work(is_first: bool) -> Answer:
        return await accept(call.gateway, index, plan, is_first=is_first)

    return await repeats.once(call, key, body, work)


ENDPOINT = Endpoint(
    "POST",
    "/v1/notifications",
    _send,
    "Send one notification, or a list of up to 1,000.",
    scope="notifications:write",
    body=items.Notification | list[items.Notification],
    answers={
        202: Accepted | Results,
        207: Results,
        409: ProblemDocument,
        413: ProblemDocument,
        422: ProblemDocument,
        503: ProblemDocument,
    },
    example=EXAMPLE,
    parameters=(repeats.PARAMETER,),
    max_bytes=MAX_BYTES,
)
