"""The preference page, `/preferences/{token}`: a person switches categories, channels and everything.

It needs no login, since the link itself names the user, and no script. A form can only be posted by who has
the link, so no other site can post one.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
from babel.dates import format_datetime
from starlette.requests import Request
from starlette.responses import Response

from tocsin.catalog.compile import CompiledTenant
from tocsin.gateway.call import request_id_of
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.people import texts
from tocsin.gateway.people.choices import CategoryChoice, Cells, cells, choices, with_cells
from tocsin.gateway.people.entry import Change, Entry
from tocsin.gateway.people.pages import HEADERS, Speaker, form_of, gateway_of
from tocsin.gateway.people.people import changes_of
from tocsin.gateway.people.preferring import By, Choice, choice_of, choosing, prefer, tag_of
from tocsin.gateway.problems import Problem
from tocsin.model.profile import Preferences
from tocsin.model.zones import zone as find_zone
from tocsin.render.formats import zone_or
from tocsin.render.preference_link import PreferenceLink, PreferenceTokens
from tocsin.render.skeletons import pattern_of

PAUSES: Final[Mapping[str, timedelta]] = {
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
    "1w": timedelta(days=7),
}
_STALE: Final = Problem(412, "the settings have changed since the page was opened")


class Cell(NamedTuple):
    """One channel of a category."""

    value: str
    title: str
    on: bool


class Row(NamedTuple):
    """One category."""

    title: str
    description: str
    required: bool
    note: str
    cells: Sequence[Cell]


class Opened(NamedTuple):
    """A page that may be shown: its link is ours, and the user is there."""

    gateway: Gateway
    link: PreferenceLink
    tenant: CompiledTenant
    entry: Entry
    speaker: Speaker


async def preference_page(request: Request) -> Response:
    """Show the page, or save what its form says and lead back to it."""
    opened = await _opened(request)
    if isinstance(opened, Response):
        return opened
    if request.method != "POST":
        return _shown(opened, "saved" if request.query_params.get("saved") else "")
    form = await form_of(request)
    try:
        await _save(request, opened, form)
    except Problem as problem:
        if problem.status == 503:
            return _shown(opened, "busy", 503)
        entry = await changes_of(opened.gateway).look(f"{opened.link.tenant}/{opened.link.user}")
        return _shown(opened._replace(entry=entry), "stale", 409)
    language = f"&lang={opened.speaker.language}" if request.query_params.get("lang") else ""
    return Response(status_code=303, headers={**HEADERS, "location": f"?saved=1{language}"})


async def _opened(request: Request) -> Opened | Response:
    """Look the user up that a link names; a page that says why not where there is none."""
    gateway = gateway_of(request)
    link = PreferenceTokens(gateway.secret).read(request.path_params["token"])
    tenant = gateway.catalog().tenants.get(link.tenant) if link else None
    if link is None or tenant is None:
        return Speaker(request, tenant).message("unknown", 404)
    if link.expires_ms <= gateway.clock_ms():
        return Speaker(request, tenant).message("expired", 410)
    try:
        entry = await changes_of(gateway).look(f"{link.tenant}/{link.user}")
    except Problem:
        speaker = Speaker(request, tenant)
        return speaker.page("message.html", speaker.say("title"), 503, text=speaker.say("busy"))
    if not entry.text:
        return Speaker(request, tenant).message("unknown", 404)
    return Opened(gateway, link, tenant, entry, Speaker(request, tenant, texts.read(entry.text).locale))


def _shown(opened: Opened, notice: str = "", status: int = 200) -> Response:
    speaker, chosen = opened.speaker, choice_of(opened.entry).preferences
    title = speaker.say("title")
    said = speaker.say(notice) if notice else ""
    return speaker.page(
        "preferences.html",
        f"{title}" if not notice or notice == "saved" else title,
        status,
        intro=speaker.say("intro"),
        notice=said,
        notice_kind="good" if notice == "saved" else "bad",
        tag=tag_of(opened.entry),
        enabled=chosen.enabled,
        pauses=_pauses(opened, chosen),
        rows=_rows(opened, chosen),
    )


def _pauses(opened: Opened, chosen: Preferences) -> list[tuple[str, str]]:
    """List what a pause may be; what holds now is first."""
    said = opened.speaker.texts
    found = [("none", said["pause_none"]), *((name, said[f"pause_{name}"]) for name in PAUSES)]
    until = chosen.snoozed_until
    if until is None or until.timestamp() * 1000 <= opened.gateway.clock_ms():
        return found
    profile = texts.read(opened.entry.text)
    zone = find_zone(zone_or(profile.timezone, opened.tenant.spec.timezone))
    local = until.astimezone(zone or UTC)
    language = opened.speaker.language
    shown = format_datetime(local, pattern_of("yMMMMdjm", language), locale=language)
    return [("keep", said["pause_keep"].format(until=shown)), *found]


def _rows(opened: Opened, chosen: Preferences) -> list[Row]:
    offered = choices(opened.tenant, opened.speaker.language)
    on = cells(opened.tenant, offered, chosen)
    return [_row(opened.speaker, one, on[one.name]) for one in sorted(offered, key=lambda one: one.required)]


def _row(speaker: Speaker, one: CategoryChoice, on: Mapping[str, bool]) -> Row:
    found = [
        Cell(f"{channel}:{one.name}", speaker.texts.get(channel) or channel.capitalize(), on[channel])
        for channel in one.channels
    ]
    note = speaker.say("required") if one.required else ""
    return Row(one.title, one.description, one.required, note, found)


async def _save(request: Request, opened: Opened, form: Sequence[tuple[str, str]]) -> None:
    """Save a form.

    Raises:
        Problem: 412 for a page that is out of date, 503.
    """
    gateway, link = opened.gateway, opened.link
    by = By.of(request_id_of(request.headers), gateway.clock_ms(), "preference page")
    fields = dict(form)

    def edit(entry: Entry) -> Change | None:
        if not entry.text:
            raise _STALE
        before = choice_of(entry)
        wanted = _wanted(opened.tenant, before.preferences, form, by.at_ms)
        change = choosing(entry, Choice(wanted, before.quiet_hours))
        if change is not None and fields.get("tag") != tag_of(entry):
            raise _STALE
        return change

    await prefer(gateway, (link.tenant, link.user), by, edit)


def _wanted(
    tenant: CompiledTenant, before: Preferences, form: Sequence[tuple[str, str]], now_ms: int
) -> Preferences:
    """Return the preferences that a form wants; what the page did not show stays as it is."""
    offered = [one for one in choices(tenant, "") if not one.required]
    wanted = _ticked(offered, form)
    fields: dict[str, Any] = dict(form)
    after = (
        with_cells(tenant, choices(tenant, ""), before, wanted)
        if _differs(tenant, before, wanted)
        else before
    )
    pause = fields.get("pause", "keep")
    until = before.snoozed_until if pause == "keep" else None
    if pause in PAUSES:
        until = datetime.fromtimestamp(now_ms // 60_000 * 60, UTC) + PAUSES[pause]
    return msgspec.structs.replace(after, enabled="enabled" in fields, snoozed_until=until)


def _differs(tenant: CompiledTenant, before: Preferences, wanted: Cells) -> bool:
    """Return whether a form changes a cell: a page that is saved as it was leaves the defaults in force."""
    now = cells(tenant, choices(tenant, ""), before)
    return any(now[name][channel] != on for name, row in wanted.items() for channel, on in row.items())


def _ticked(offered: Sequence[CategoryChoice], form: Sequence[tuple[str, str]]) -> Cells:
    """Read the cells that the page showed; a category with one that it did not show stays as it is."""
    shown = {value for name, value in form if name == "shown"}
    on = {value for name, value in form if name == "on"}
    return {
        one.name: {channel: f"{channel}:{one.name}" in on for channel in one.channels}
        for one in offered
        if all(f"{channel}:{one.name}" in shown for channel in one.channels)
    }
