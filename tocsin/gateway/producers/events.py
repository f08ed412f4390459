"""`POST /v1/events`: CloudEvents 1.0 in the HTTP binding, structured, binary and batched."""

from typing import Any, Final
from urllib.parse import unquote

import msgspec

from tocsin.formats.batches import BATCH
from tocsin.formats.broadcasts import CONTROL_TYPE
from tocsin.formats.cloudevents import BOM, STRUCTURED
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.problems import Problem, ProblemDocument, decoded, of_field
from tocsin.gateway.producers import checks, repeats
from tocsin.gateway.producers.accepting import REQUEST_BYTES, Plan, Ready, accept, each, record_of, refuse
from tocsin.gateway.producers.items import MOST
from tocsin.gateway.producers.results import Accepted, Result, Results
from tocsin.gateway.producers.sent import index_of
from tocsin.gateway.random_ids import random_hex
from tocsin.model.event import Event

MAX_BYTES: Final = 16 << 20
BATCHED: Final = BATCH.decode() + "+json"
_PREFIX: Final = "ce-"
_BROADCASTS: Final = "broadcasts:write"
EXAMPLE: Final = {
    "specversion": "1.0",
    "id": "UA-1545-delayed-1",
    "source": "/airline/operations",
    "type": "flight.delayed",
    "subject": "ada",
    "data": {"flight": "UA 1545", "delay": 72},
}


class _Tenant(msgspec.Struct):
    tenant: str | int | None = None


_encode = msgspec.json.Encoder().encode


async def _publish(call: Call) -> Answer:
    body = await call.raw_body()
    key = repeats.key_of(call)
    content = _encode([list(each) for each in _attributes(call)]) + body
    try:
        plan = await _planned(call, body)
        plan.check()
    except Problem:
        if before := await repeats.answered(call, key, content):
            return before
        raise

    async def work(is_first: bool) -> Answer:
        return await accept(call.gateway, index_of(call.gateway), plan, is_first=is_first)

    return await repeats.once(call, key, content, work)


async def _planned(call: Call, body: bytes) -> Plan:
    """Check the events of a request.

    Raises:
        Problem: of one event that it is wrong; of a batch that it is none.
    """
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == BATCHED:
        return await _batch(call, body)
    value = _structured(body) if kind == STRUCTURED else _binary(call, kind, body)
    return Plan([_checked(call, value, 0, "")], [], False, random_hex(REQUEST_BYTES))


async def _batch(call: Call, body: bytes) -> Plan:
    values, at = decoded(body, list[msgspec.Raw]), ""
    if not 0 < len(values) <= MOST:
        raise of_field(at, f"a list of {len(values)}", f"send 1 to {MOST} events in one batch")
    ready: list[Ready] = []
    refused: list[Result] = []

    def check(number: int) -> None:
        try:
            ready.append(_checked(call, bytes(values[number]), number, f"[{number}]"))
        except Problem as problem:
            refused.append(refuse(number, problem, is_list=True))

    await each(len(values), check)
    return Plan(ready, refused, True, random_hex(REQUEST_BYTES))


def _structured(body: bytes) -> bytes:
    return body.removeprefix(BOM).strip()


def _attributes(call: Call) -> list[tuple[str, str]]:
    """List the attributes of binary mode; values are percent-encoded UTF-8 (HTTP binding, 3.1.3.2)."""
    found = [(name, value) for name, value in call.headers.items() if name.startswith(_PREFIX)]
    return [(name.removeprefix(_PREFIX), unquote(value)) for name, value in sorted(found)]


def _binary(call: Call, kind: str, body: bytes) -> bytes:
    """Write an event of binary mode in structured mode."""
    attributes: dict[str, Any] = dict(_attributes(call))
    if not attributes:
        cure = f"send {STRUCTURED}, {BATCHED}, or JSON data with the attributes as headers ce-id, ce-type …"
        raise Problem(415, f"no CloudEvent: {cure}")
    if kind not in {"", "application/json", "text/json"} and not kind.endswith("+json"):
        raise Problem(415, "the data are not JSON: send them as application/json")
    attributes.pop("data", None)
    attributes.pop("data_base64", None)
    if body.strip():
        decoded(body, msgspec.Raw, "data")
        attributes["data"] = msgspec.Raw(body.removeprefix(BOM))
    return _encode(attributes)


def _checked(call: Call, value: bytes, index: int, at: str) -> Ready:
    """Check one event, and make it the caller's tenant's.

    Raises:
        Problem: the gate would not accept it, or the caller may not write it.
    """
    named = decoded(value, _Tenant, at).tenant
    call.own_tenant(None if named is None else str(named), f"{at}.tenant" if at else "tenant")
    if named is None:
        rest = value[1:].lstrip()
        value = b'{"tenant":%b%b%b' % (_encode(call.tenant), b"" if rest[:1] == b"}" else b",", value[1:])
    event = checks.read_event(value, call.now_ms, checks.limits_of(call.gateway.settings), at)
    if event.tenant != call.tenant:
        call.own_tenant(event.tenant, f"{at}.tenant" if at else "tenant")
    _check_rights(call, event, at)
    checks.check_known(event, call.gateway.catalog(), at, "tocsinnotification", "tocsinchannels")
    return Ready(index, event, record_of(event, value), False)


def _check_rights(call: Call, event: Event, at: str) -> None:
    if event.fanned_out:
        field = f"{at}.tocsinfanout" if at else "tocsinfanout"
        raise of_field(field, "a reserved name", "leave it out; only Tocsin writes it")
    checks.check_type(event, at, may_control=True)
    is_broadcast = event.broadcast is not None or event.type == CONTROL_TYPE
    if is_broadcast and (call.caller is None or _BROADCASTS not in call.caller.scopes):
        raise Problem(403, f"broadcasts need the scope {_BROADCASTS}: ask for a key that has it")


ENDPOINT = Endpoint(
    "POST",
    "/v1/events",
    _publish,
    "Publish one CloudEvent, or a batch of up to 1,000.",
    scope="events:write",
    body=dict[str, Any] | list[dict[str, Any]],
    answers={
        202: Accepted | Results,
        207: Results,
        413: ProblemDocument,
        415: ProblemDocument,
        422: ProblemDocument,
        503: ProblemDocument,
    },
    example=EXAMPLE,
    parameters=(repeats.PARAMETER,),
    max_bytes=MAX_BYTES,
    media_types=(STRUCTURED, BATCHED, "application/json"),
)
