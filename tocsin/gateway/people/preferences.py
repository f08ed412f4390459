"""`/v1/users/{id}/preferences`: reads and sets what a user allows, and lists what there is to choose."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from tocsin.catalog.compile import CompiledTenant
from tocsin.formats.shapes import is_clock
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint, Parameter
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.people import texts
from tocsin.gateway.people.choices import CategoryChoice, cells, choices, known_channels
from tocsin.gateway.people.entry import Change, Entry
from tocsin.gateway.people.people import IF_MATCH, changes_of, check_match, known, named_user, user_of
from tocsin.gateway.people.preferring import By, Choice, choice_of, choosing, prefer, tag_of
from tocsin.gateway.problems import FieldError, Problem, ProblemDocument
from tocsin.model.profile import Moment, Preferences, QuietHours
from tocsin.render.preference_link import PATH, PreferenceLink, PreferenceTokens

_DAY_S: Final = 86_400
LINK_S: Final = 30 * _DAY_S
"""How long a link leads to the page if nothing else is said."""
_SHOWN: Final = 20
Switch = bool | dict[str, bool]


class PreferencesBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a user allows, from general to special; a no refuses at whatever level it is.

    Attributes:
        enabled: false refuses everything but required categories.
        channels: a switch by channel.
        categories: a switch by category, or one by channel.
        notifications: a switch by notification, or one by channel.
        snoozed_until: nothing is wanted before.
        quiet_hours: a daily span in the user's time zone in which nothing is wanted.
    """

    enabled: bool = True
    channels: dict[str, bool] = {}
    categories: dict[str, Switch] = {}
    notifications: dict[str, Switch] = {}
    snoozed_until: Moment | None = None
    quiet_hours: QuietHours | None = None


class ChoicesAnswer(msgspec.Struct):
    """What a user can choose.

    Attributes:
        channels: that a preference may name.
        categories: with their channels and notifications.
        in_force: category, then channel, to whether it is on for the user now; without a user, by default.
    """

    channels: tuple[str, ...]
    categories: list[CategoryChoice]
    in_force: dict[str, dict[str, bool]]


class LinkBody(msgspec.Struct, forbid_unknown_fields=True):
    """How long a link is to lead to the page."""

    expires_in_s: int = LINK_S


class LinkAnswer(msgspec.Struct):
    """A link to a user's preference page. Whoever has it can change what the user gets."""

    url: str
    expires_at: datetime


def tenant_of(gateway: Gateway, name: str) -> CompiledTenant:
    """Return a tenant of the catalog.

    Raises:
        Problem: 409, it is not in the catalog.
    """
    found = gateway.catalog().tenants.get(name)
    if found is None:
        raise Problem(409, "the catalog has no tenant of this name: add tenants/<tenant>.yaml")
    return found


def _shown(entry: Entry) -> PreferencesBody:
    chosen, hours = choice_of(entry)
    return PreferencesBody(
        chosen.enabled,
        chosen.channels,
        chosen.categories,
        chosen.notifications,
        chosen.snoozed_until,
        hours,
    )


def _answer(entry: Entry) -> Answer:
    return Answer(200, _shown(entry), {"etag": tag_of(entry)})


async def get_preferences(call: Call) -> Answer:
    """Read what a user allows."""
    return _answer(known(await changes_of(call.gateway).look(f"{call.tenant}/{user_of(call)}")))


async def put_preferences(call: Call) -> Answer:
    """Set what a user allows; what is left out has the tenant's default."""
    user, body = user_of(call), await call.body(PreferencesBody)
    tenant = tenant_of(call.gateway, call.tenant)
    wanted = Choice(
        Preferences(body.enabled, body.channels, body.categories, body.notifications, body.snoozed_until),
        body.quiet_hours,
    )

    def edit(entry: Entry) -> Change | None:
        change = choosing(known(entry), wanted)
        if change is not None:
            check_match(call.headers, tag_of(entry), exists=True)
            _refuse(list(_faults(tenant, body, choice_of(entry).preferences)))
        return change

    assert call.caller is not None, "the endpoint has a scope"
    by = By.of(call.request_id, call.now_ms, f"key {call.caller.key_id}")
    return _answer((await prefer(call.gateway, (call.tenant, user), by, edit)).after)


def _refuse(errors: list[FieldError]) -> None:
    if errors:
        raise Problem(422, f"`{errors[0].field}`: {errors[0].cure}", errors=errors)


def _faults(tenant: CompiledTenant, body: PreferencesBody, before: Preferences) -> Iterator[FieldError]:
    """Find names that switch nothing, and switches that cannot be off; names of before may stay."""
    channels = known_channels(tenant)
    yield from _unknown("channels", body.channels, channels, before.channels)
    yield from _unknown("categories", body.categories, tenant.spec.categories, before.categories)
    yield from _unknown("notifications", body.notifications, tenant.notifications, before.notifications)
    for group in ("categories", "notifications"):
        for name, switch in getattr(body, group).items():
            if isinstance(switch, dict):
                was = getattr(before, group).get(name)
                yield from _unknown(
                    f"{group}.{name[:64]}", switch, channels, was if isinstance(was, dict) else ()
                )
    for name, switch in body.categories.items():
        category = tenant.spec.categories.get(name)
        if (
            category is not None
            and category.required
            and before.categories.get(name) != switch
            and _has_no(switch)
        ):
            yield FieldError(
                f"categories.{name}", "false", "leave it out: the category is required, it is always sent"
            )
    if body.quiet_hours is not None and not (
        is_clock(body.quiet_hours.start) and is_clock(body.quiet_hours.end)
    ):
        yield FieldError("quiet_hours", "a text", "send start and end as HH:MM")


def _has_no(switch: Switch) -> bool:
    return not switch if isinstance(switch, bool) else not all(switch.values())


def _unknown(
    place: str, given: Iterable[str], there: Collection[str], before: Collection[str]
) -> Iterator[FieldError]:
    for name in given:
        if name not in there and name not in before:
            listed = ", ".join(list(there)[:_SHOWN]) or "none"
            more = ", …" if len(there) > _SHOWN else ""
            yield FieldError(
                f"{place}.{name[:64]}", "unknown", f"name one of those there are: {listed}{more}"
            )


async def get_choices(call: Call) -> Answer:
    """List what there is to choose, in a language, and what of it is on."""
    tenant, user = tenant_of(call.gateway, call.tenant), call.query.get("user", "")
    chosen, locale = Preferences(), call.query.get("locale", "")
    if user:
        owner = f"{call.tenant}/{named_user(call.tenant, user)}"
        entry = known(await changes_of(call.gateway).look(owner))
        chosen, locale = choice_of(entry).preferences, locale or texts.read(entry.text).locale
    offered = choices(tenant, locale)
    in_force: Any = cells(tenant, offered, chosen)
    return Answer(200, ChoicesAnswer(known_channels(tenant), offered, in_force))


async def make_link(call: Call) -> Answer:
    """Make a link to a user's preference page."""
    user, body = user_of(call), LinkBody()
    if await call.raw_body():
        body = await call.body(LinkBody)
    if not 60 <= body.expires_in_s <= 366 * _DAY_S:
        cure = "give seconds from a minute (60) to a year (31622400)"
        raise Problem(
            422, f"`expires_in_s`: {cure}", errors=[FieldError("expires_in_s", "out of bounds", cure)]
        )
    known(await changes_of(call.gateway).look(f"{call.tenant}/{user}"))
    base = call.gateway.settings.gateway_url
    if not base:
        raise Problem(409, "the gateway does not know its public address: set TOCSIN_GATEWAY_URL")
    expires_ms = call.now_ms + body.expires_in_s * 1_000
    url = link(call.gateway, call.tenant, user, expires_ms)
    return Answer(201, LinkAnswer(base + url, datetime.fromtimestamp(expires_ms // 1_000, UTC)))


def link(gateway: Gateway, tenant: str, user: str, expires_ms: int) -> str:
    """Return the path of a user's preference page."""
    return PATH + PreferenceTokens(gateway.secret).make(PreferenceLink(tenant, user, expires_ms))


_PATH: Final = "/v1/users/{id}/preferences"
_READ, _WRITE = "users:read", "users:write"
ENDPOINTS: Final = (
    Endpoint(
        "GET", _PATH, get_preferences, "Read what a user allows.", _READ, answers={200: PreferencesBody}
    ),
    Endpoint(
        "PUT",
        _PATH,
        put_preferences,
        "Set what a user allows; what is left out has the tenant's default.",
        _WRITE,
        body=PreferencesBody,
        answers={200: PreferencesBody, 409: ProblemDocument, 412: ProblemDocument},
        example={"categories": {"offers": False, "flight_updates": {"email": False}}},
        parameters=(IF_MATCH,),
        max_bytes=65_536,
    ),
    Endpoint(
        "GET",
        "/v1/preference-choices",
        get_choices,
        "List the categories and channels that users can choose.",
        _READ,
        answers={200: ChoicesAnswer, 409: ProblemDocument},
        parameters=(
            Parameter("user", description="say what is on for this user", example="ada"),
            Parameter("locale", description="language of titles and descriptions", example="de"),
        ),
    ),
    Endpoint(
        "POST",
        "/v1/users/{id}/preference-link",
        make_link,
        "Make a link to a user's preference page; it needs no login.",
        _WRITE,
        body=LinkBody,
        answers={201: LinkAnswer, 409: ProblemDocument},
        example={"expires_in_s": 86_400},
        max_bytes=1_024,
    ),
)
