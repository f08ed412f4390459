"""The endpoints of the gateway about endpoints of delivery reports: list, set, remove, switch on and off."""

import secrets
from base64 import b64encode
from collections.abc import Awaitable
from typing import Annotated, Final, TypeVar

import msgspec
from redis.exceptions import RedisError

from tocsin.catalog.webhooks import WEBHOOK_NAME, url_problem
from tocsin.delivery.reports.admin import EndpointAdmin, Listed
from tocsin.delivery.reports.store import PURPOSE, ReportStore, SetEndpoint
from tocsin.formats.sealed import Seal
from tocsin.gateway.audit import entry
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.problems import Problem, not_ready, of_field
from tocsin.model.audit import Action
from tocsin.model.moments import moment_of
from tocsin.model.statuses import Status
from tocsin.providers.standard_webhooks import secret_bytes

T = TypeVar("T")
MOST: Final = 20
"""Endpoints that a tenant may set over HTTP."""
_SECRET_BYTES: Final = 32
_HOUR_S: Final = 3_600
_LONGEST_S: Final = 7 * 24 * _HOUR_S


_Name = Annotated[str, msgspec.Meta(max_length=64)]


class EndpointBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint of the caller's tenant.

    Attributes:
        url: an https:// URL that is reached from the public network.
        secret: `whsec_` and base64 of 24 to 64 bytes; made for you unless given, and shown once.
        rotate: keep the newest secret beside the new one, until the next time.
        statuses: outcomes that are reported; the usual ones unless given.
        notifications: of these notifications only.
        give_up_s: it is switched off after this long without success: an hour to 7 days.
    """

    url: Annotated[str, msgspec.Meta(max_length=2_048)]
    secret: Annotated[str, msgspec.Meta(max_length=128)] = ""
    rotate: bool = False
    statuses: Annotated[list[Status], msgspec.Meta(max_length=32)] = []
    notifications: Annotated[list[_Name], msgspec.Meta(max_length=100)] = []
    give_up_s: Annotated[int, msgspec.Meta(ge=_HOUR_S, le=_LONGEST_S)] = 24 * _HOUR_S


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Switches an endpoint on. `since` (RFC 3339) replays what was decided from then on."""

    since: str = ""


class Endpoints(msgspec.Struct, frozen=True):
    """The endpoints of a tenant."""

    endpoints: list[Listed]


class Set(msgspec.Struct, frozen=True):
    """An endpoint that was set, and its secret: this once."""

    endpoint: Listed
    secret: str


def _admin(call: Call) -> EndpointAdmin:
    return EndpointAdmin(ReportStore(call.gateway.redis, call.gateway.settings.topic_prefix))


async def _asked(work: Awaitable[T]) -> T:
    """Await what asks Redis.

    Raises:
        Problem: Redis is away (503).
    """
    try:
        return await work
    except (RedisError, OSError):
        raise not_ready("Redis is away: endpoints can be neither read nor changed", 5) from None


async def _found(call: Call) -> Listed:
    found = await _asked(_admin(call).find(call.gateway.catalog(), call.tenant, call.path["name"]))
    if found is None:
        raise Problem(404, "your tenant has no endpoint of this name; GET /v1/webhooks lists them")
    return found


async def _list(call: Call) -> Answer:
    return Answer(200, Endpoints(await _asked(_admin(call).list(call.gateway.catalog(), call.tenant))))


async def _get(call: Call) -> Answer:
    return Answer(200, await _found(call))


async def _put(call: Call) -> Answer:
    """Set an endpoint: the audit log has it before it counts."""
    body, name, admin = await call.body(EndpointBody), call.path["name"], _admin(call)
    _check(call, name, body)
    key = f"{call.tenant}/{name}"
    held = await _asked(admin.store.held(key))
    listed = await _asked(admin.list(call.gateway.catalog(), call.tenant))
    if not held and sum(each.place == "api" for each in listed) >= MOST:
        raise _too_many()
    secret = body.secret or f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
    seal = Seal(call.gateway.secret, PURPOSE)
    before = msgspec.json.decode(held, type=SetEndpoint).sealed[:1] if body.rotate and held else ()
    made = SetEndpoint(
        url=body.url,
        sealed=(seal.close(secret_bytes(secret)), *before),
        statuses=tuple(body.statuses),
        notifications=tuple(body.notifications),
        give_up_ms=body.give_up_s * 1_000,
    )
    await call.gateway.writer.write(entry(call, Action.WEBHOOK_SET, name, rotated=bool(before)))
    refused = await _asked(admin.store.swap(key, held, made, MOST))
    if refused == "full":
        raise _too_many()
    if refused:
        raise Problem(409, "the endpoint was set by another request meanwhile: send yours again")
    return Answer(200 if held else 201, Set(await _found(call), secret))


def _too_many() -> Problem:
    return Problem(409, f"your tenant has {MOST} endpoints: remove one before you set another")


def _check(call: Call, name: str, body: EndpointBody) -> None:
    """Refuse what cannot be.

    Raises:
        Problem: the name, URL, secret or a notification (422), or a file has that endpoint (409).
    """
    tenant = call.gateway.catalog().tenants.get(call.tenant)
    if tenant is None:
        raise Problem(
            404, "the tenant of this key has no catalog; `tocsin check` names mistakes in its files"
        )
    if name in tenant.spec.webhooks:
        raise Problem(409, "the tenant's file has an endpoint of this name: change it there")
    if not WEBHOOK_NAME.fullmatch(name):
        raise of_field("name", "a text", "use letters, digits, dot, dash and underscore, at most 64")
    if problem := url_problem(body.url, allow_private=call.gateway.settings.webhooks_private):
        raise of_field("url", "a text", problem)
    for at, notification in enumerate(body.notifications):
        if notification not in tenant.notifications:
            raise of_field(f"notifications[{at}]", "a text", "name a notification of your tenant")
    try:
        secret_bytes(body.secret or "A" * 32)
    except ValueError as error:
        raise of_field("secret", "a text", str(error)) from None


async def _delete(call: Call) -> Answer:
    found = await _found(call)
    if found.place == "file":
        raise Problem(409, "the tenant's file has this endpoint: remove it there")
    await call.gateway.writer.write(entry(call, Action.WEBHOOK_REMOVED, found.name))
    await _asked(_admin(call).store.remove(f"{call.tenant}/{found.name}"))
    return Answer(204)


async def _retry(call: Call) -> Answer:
    found = await _found(call)
    body = await call.body(Retry) if await call.raw_body() else Retry()
    from_ms = max(1, _moment(body.since)) if body.since else 0
    await call.gateway.writer.write(entry(call, Action.WEBHOOK_SWITCHED_ON, found.name, from_ms=from_ms))
    await _asked(_admin(call).store.switch_on(f"{call.tenant}/{found.name}", from_ms))
    return Answer(200, await _found(call))


def _moment(text: str) -> int:
    try:
        moment = moment_of(text)
    except ValueError:
        moment = None
    if moment is None or moment.local:
        raise of_field("since", "a text", "write RFC 3339 with an offset, such as 2026-01-31T09:30:00Z")
    return moment.at_ms


async def _disable(call: Call) -> Answer:
    found = await _found(call)
    await call.gateway.writer.write(entry(call, Action.WEBHOOK_SWITCHED_OFF, found.name, why="by request"))
    await _asked(_admin(call).store.switch_off(f"{call.tenant}/{found.name}", "by request", call.now_ms))
    return Answer(200, await _found(call))


_READ, _WRITE = "webhooks:read", "webhooks:write"
ENDPOINTS = (
    Endpoint(
        "GET", "/v1/webhooks", _list, "List where delivery reports go.", scope=_READ, answers={200: Endpoints}
    ),
    Endpoint(
        "GET",
        "/v1/webhooks/{name}",
        _get,
        "Show one endpoint of delivery reports.",
        scope=_READ,
        answers={200: Listed},
    ),
    Endpoint(
        "PUT",
        "/v1/webhooks/{name}",
        _put,
        "Set an endpoint of delivery reports; its secret is in the answer, this once.",
        scope=_WRITE,
        body=EndpointBody,
        answers={200: Set, 201: Set},
        example={"url": "https://api.shop.example/tocsin", "statuses": ["sent", "delivered", "dead"]},
    ),
    Endpoint(
        "DELETE",
        "/v1/webhooks/{name}",
        _delete,
        "Remove an endpoint that was set over HTTP.",
        scope=_WRITE,
        answers={204: None},
    ),
    Endpoint(
        "POST",
        "/v1/webhooks/{name}/retry",
        _retry,
        "Switch an endpoint on: where it was, or from a time, which replays what follows.",
        scope=_WRITE,
        body=Retry,
        answers={200: Listed},
        example={"since": "2026-01-31T09:30:00Z"},
    ),
    Endpoint(
        "POST",
        "/v1/webhooks/{name}/disable",
        _disable,
        "Switch an endpoint off; it keeps its position.",
        scope=_WRITE,
        answers={200: Listed},
    ),
)
