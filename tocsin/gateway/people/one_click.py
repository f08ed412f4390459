"""Unsubscribe links, `/unsubscribe/{token}` (RFC 8058): a POST unsubscribes at once, a GET changes nothing.

The receipt `unsubscribed` goes to Kafka first: with it alone the gate sends nothing more of the category,
also of what queues, and the log has it. Then the profile says so too, so that the preference page shows it
and later profiles of the gateway keep it. For people without a profile the receipt is all there is.
"""

from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from tocsin.catalog.compile import CompiledTenant
from tocsin.catalog.spec import in_language
from tocsin.gateway.call import request_id_of
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.people.choices import choices
from tocsin.gateway.people.entry import Change, Entry
from tocsin.gateway.people.pages import ONE_CLICK, Speaker, form_of, gateway_of
from tocsin.gateway.people.people import audit, changes_of
from tocsin.gateway.people.preferences import link
from tocsin.gateway.people.preferring import (
    By,
    Choice,
    choice_of,
    choosing,
    prefer,
    resubscribed,
    unsubscribed,
    with_again,
    without,
)
from tocsin.gateway.people.view import AWAY, away
from tocsin.gateway.problems import Problem
from tocsin.gateway.writer import Failure
from tocsin.model.ids import digest
from tocsin.render.unsubscribe import Subscription, UnsubscribeTokens

_ACTOR: Final = "unsubscribe link"
_DAY_MS: Final = 86_400_000


class Opened(NamedTuple):
    """A link of ours: what it stops, and who speaks to whoever opened it."""

    gateway: Gateway
    link: Subscription
    tenant: CompiledTenant | None
    speaker: Speaker


async def unsubscribe_page(request: Request) -> Response:
    """Ask whether to unsubscribe; with a POST, do it."""
    gateway = gateway_of(request)
    named = UnsubscribeTokens(gateway.secret).read(request.path_params["token"])
    tenant = gateway.catalog().tenants.get(named.tenant) if named else None
    if named is None:
        return Speaker(request, None).message("unknown", 404)
    opened = Opened(gateway, named, tenant, Speaker(request, tenant))
    if _is_required(opened):
        return _shown(opened, "fixed")
    if request.method != "POST":
        return _shown(opened, "ask")
    return await _posted(request, opened)


async def _posted(request: Request, opened: Opened) -> Response:
    form = await form_of(request)
    wanted = _stopped if ONE_CLICK in form else _again if ("again", "1") in form else None
    if wanted is None:
        return _shown(opened, "ask", 400)
    owner, category = (opened.link.tenant, opened.link.user), opened.link.category
    by = By.of(request_id_of(request.headers), opened.gateway.clock_ms(), _ACTOR)
    try:
        state = await wanted(opened.gateway, owner, category, by)
    except Problem as problem:
        return _shown(opened, "busy", problem.status)
    return _shown(opened, state)


async def _stopped(gateway: Gateway, owner: tuple[str, str], category: str, by: By) -> str:
    await unsubscribe(gateway, owner, category, by)
    return "stopped"


async def _again(gateway: Gateway, owner: tuple[str, str], category: str, by: By) -> str:
    entry = await subscribe_again(gateway, owner, category, by)
    is_on = not entry.text or choice_of(entry).preferences.enabled
    return "again" if is_on else "again_off"


def _is_required(opened: Opened) -> bool:
    category = opened.tenant.spec.categories.get(opened.link.category) if opened.tenant else None
    return category is not None and category.required


def _shown(opened: Opened, state: str, status: int = 200) -> Response:
    speaker, category = opened.speaker, opened.link.category
    names = {
        "ask": "stop_question",
        "stopped": "stopped",
        "again": "again",
        "again_off": "again_off",
        "busy": "busy",
        "fixed": "required",
    }
    everything = {"ask": "stop_everything", "stopped": "stopped_everything", "again": "again_everything"}
    name = names[state] if category else everything.get(state, names[state])
    headings = {"ask": "stop_title", "busy": "stop_title"}
    return speaker.page(
        "unsubscribe.html",
        speaker.say(headings.get(state, f"{state}_title")),
        status,
        state=state,
        text=speaker.say(name, category=_title(opened)),
        manage=_manage(opened) if state in ("stopped", "again", "again_off") else "",
    )


def _title(opened: Opened) -> str:
    """Return what people call the category; its name if it is not in the catalog any more."""
    name, tenant = opened.link.category, opened.tenant
    found = tenant.spec.categories.get(name) if tenant else None
    title = in_language(found.title, opened.speaker.language, tenant.spec.locale) if found and tenant else ""
    return title or name.replace("_", " ")


def _manage(opened: Opened) -> str:
    expires_ms = opened.gateway.clock_ms() + _DAY_MS
    return f"..{link(opened.gateway, opened.link.tenant, opened.link.user, expires_ms)}"


async def unsubscribe(gateway: Gateway, owner: tuple[str, str], category: str, by: By) -> None:
    """Unsubscribe a user from a category, or from everything if it is empty; returns once Kafka has it.

    Posting a link again within a day is logged once, unless the user was subscribed again in between.

    Raises:
        Problem: 503. Repeating it does no harm.
    """
    once = by._replace(request_id=await _click(gateway, owner, category, by))
    audited = audit(once.request_id, by.at_ms, by.actor, owner, "unsubscribed", category=category)
    for result in await gateway.writer.write_all([unsubscribed(owner, category, once), audited]):
        if isinstance(result, Failure):
            raise result.problem
    await changes_of(gateway).change("/".join(owner), lambda entry: _without(entry, category))


async def _click(gateway: Gateway, owner: tuple[str, str], category: str, by: By) -> str:
    """Name a click: as the one before it while that one holds.

    Without Redis each click has a name of its own: then it is logged twice rather than lost.
    """
    changes, key = changes_of(gateway), "/".join(owner)
    try:
        entry = await changes.look(key)
        gets_it = _without(entry, category) is not None
        seen = str(entry.revision) if gets_it else by.request_id
        click = digest("unsubscribe", *owner, category, seen, str(by.at_ms // _DAY_MS))
        return await changes.view.stop(key, category, click, again=gets_it)
    except (AWAY, Problem):
        return by.request_id


def _without(entry: Entry, category: str) -> Change | None:
    if not entry.text:
        return None
    chosen, hours = choice_of(entry)
    return choosing(entry, Choice(without(chosen, category), hours))


async def subscribe_again(gateway: Gateway, owner: tuple[str, str], category: str, by: By) -> Entry:
    """Take an unsubscription back; returns the profile of then, once Kafka has it.

    Raises:
        Problem: 503.
    """
    try:
        await changes_of(gateway).view.forget_stop("/".join(owner), category)
    except AWAY:
        raise away() from None
    await gateway.writer.write(resubscribed(owner, category or "*", by))
    tenant = gateway.catalog().tenants.get(owner[0])
    offered: Any = choices(tenant, "") if tenant else []
    channels = next((one.channels for one in offered if one.name == category), ())

    def edit(entry: Entry) -> Change | None:
        if not entry.text or (category and not channels):
            return None
        chosen, hours = choice_of(entry)
        return choosing(entry, Choice(with_again(chosen, category, channels), hours))

    return (await prefer(gateway, owner, by, edit)).after
