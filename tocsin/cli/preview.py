"""`tocsin preview`: a notification as its recipients see it, from the files of a catalog alone."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from tocsin.app.settings import Settings
from tocsin.cli.output import FAULT, console, fail, print_json, print_table
from tocsin.cli.preview_files import write_files
from tocsin.cli.preview_serve import serve
from tocsin.errors import CatalogError, PreviewError
from tocsin.model.profile import Profile
from tocsin.model.zones import resolve
from tocsin.render.measures import Measure
from tocsin.render.preview import Asked, Preview, Previewer, asked_rows
from tocsin.render.sample_message import SAMPLE_USER
from tocsin.render.shown import headline, shown
from tocsin.render.uses import Use, uses_of

_STDIN = "-"


def preview(
    name: Annotated[str, typer.Argument(metavar="NAME", help="notification of the catalog")] = "",
    *,
    channel: Annotated[
        list[str] | None, typer.Option(help="channel; may be repeated; all unless given")
    ] = None,
    locale: Annotated[
        list[str] | None,
        typer.Option(
            help="language of the recipient; may be repeated; all that the template has unless given"
        ),
    ] = None,
    data: Annotated[
        str,
        typer.Option(metavar="FILE", help="data of the event: a file of JSON, JSON itself, or - for stdin"),
    ] = "",
    sample: Annotated[
        int, typer.Option(min=0, help="number of the template's sample, where no data is given")
    ] = 0,
    tenant: Annotated[str, typer.Option(help="tenant")] = "default",
    profile: Annotated[
        Path | None,
        typer.Option(help="a profile in JSON: its user, locale and timezone are used", dir_okay=False),
    ] = None,
    user: Annotated[str, typer.Option(help="id of the recipient")] = "",
    timezone: Annotated[str, typer.Option(help="time zone of the recipient; the tenant's unless given")] = "",
    variant: Annotated[str, typer.Option(help="arm of an experiment")] = "",
    digest: Annotated[
        bool, typer.Option("--digest", help="the digest of it instead of a single one")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="write what each recipient sees into this folder", file_okay=False)
    ] = None,
    catalog: Annotated[Path | None, typer.Option(help="catalog folder instead of the one set")] = None,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    page: Annotated[bool, typer.Option("--serve", help="show a page to try templates and data out")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="with the page: open the browser")] = False,
    host: Annotated[str, typer.Option(help="of the page: address to listen on")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="of the page: port; 0 for a free one", show_default="8810, or a free one"
        ),
    ] = None,
    token_env: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="of the page: variable that holds a token, needed beyond this machine"
        ),
    ] = "",
) -> None:
    """Show a notification as its recipients see it, in each channel and language, before it is in force."""
    folder = _folder(catalog)
    if page or open_browser:
        serve(folder, name, host=host, port=port, token_env=token_env, open_browser=open_browser, json=json)
        return
    recipient = _recipient(profile, user, timezone, locale or ())
    try:
        previewer = Previewer.open(folder)
        if not name:
            _list(previewer, tenant, json=json)
            return
        use = _use(previewer, tenant, name, variant, digest=digest)
        values = _data(data) if data else _sample(previewer, tenant, use, sample)
        first = Asked(tenant, name, "", "", use, values, recipient.user, recipient.timezone)
        rows = asked_rows(previewer, first, channel or (), recipient.locales)
        found = [previewer.preview(row) for row in rows]
        unused = [] if channel else previewer.unused(rows)
    except CatalogError as error:
        fail(f"the catalog {folder} has mistakes:\n{error}")
    except PreviewError as error:
        _refuse(error)
    if out is not None:
        write_files(out, found)
    if json:
        print_json(
            {"notification": name, "tenant": tenant, "previews": list(map(shown, found)), "unused": unused}
        )
    else:
        _show(found, unused, out)
    if any(each.is_faulty for each in found):
        raise typer.Exit(FAULT)


class _Recipient(msgspec.Struct, frozen=True):
    """The recipient as templates see them."""

    user: str
    timezone: str
    locales: Sequence[str]


def _folder(catalog: Path | None) -> Path:
    folder = catalog or Settings().catalog
    if not folder.is_dir():
        fail(f"there is no catalog folder {folder}: name one by --catalog, or set TOCSIN_CATALOG", code=2)
    return folder


def _recipient(profile: Path | None, user: str, timezone: str, locales: Sequence[str]) -> _Recipient:
    """Take what is known of the recipient: the words of the command before those of the profile."""
    if timezone and not resolve(timezone):
        fail(f"--timezone: there is no time zone {timezone}; name one of IANA, like Europe/Vienna", code=2)
    if profile is None:
        return _Recipient(user or SAMPLE_USER, timezone, locales)
    try:
        raw = profile.read_bytes()
        known = msgspec.json.decode(raw, type=Profile)
        named = msgspec.json.decode(raw, type=_Named)
    except OSError as error:
        fail(f"--profile {profile}: {error.strerror}", code=2)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fail(f"--profile {profile}: no profile: {error}", code=2)
    own = [known.locale] if known.locale else []
    return _Recipient(user or named.user or SAMPLE_USER, timezone or known.timezone or "", locales or own)


class _Named(msgspec.Struct):
    """The user of a profile that is written with its key."""

    user: str = ""


def _use(previewer: Previewer, tenant: str, name: str, variant: str, *, digest: bool) -> Use:
    """Choose the template: of an arm, for a digest or a single notification."""
    notification = previewer.notification(tenant, name)
    arms = {arm.name: arm for arm in notification.variants if not arm.holdout}
    if variant and variant not in arms:
        there = ", ".join(arms) or "none"
        fail(f"--variant: {name} has no arm {variant} that is sent; it has: {there}", code=2)
    uses = uses_of(notification)
    if variant:
        arm = arms[variant]
        uses = [use for use in uses if use.template in (arm.message.template, arm.digest_template)]
    kinds = [use for use in uses if use.digest] if digest else uses
    if not kinds:
        fail(f"--digest: {name} is never sent as a digest", code=2)
    return kinds[0]


def _data(given: str) -> Any:
    """Read the data of the event."""
    try:
        raw = sys.stdin.buffer.read() if given == _STDIN else _bytes(given)
        return msgspec.json.decode(raw)
    except OSError as error:
        fail(f"--data {given}: {error.strerror}; name a file, or write the JSON itself", code=2)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fail(f"--data: not JSON: {error}", code=2)


def _bytes(given: str) -> bytes:
    return given.encode() if given.lstrip().startswith(("{", "[")) else Path(given).read_bytes()


def _sample(previewer: Previewer, tenant: str, use: Use, number: int) -> Any:
    samples = previewer.samples(tenant, use)
    if number >= len(samples):
        fail(f"--sample {number}: {use.sample} has {len(samples)}, counted from 0", code=2)
    return samples[number]


def _refuse(error: PreviewError) -> NoReturn:
    option = "NAME" if error.field == "notification" else f"--{error.field}"
    fail(f"{option}: {error}", code=2)


def _list(previewer: Previewer, tenant: str, *, json: bool) -> None:
    """List the notifications of a tenant: what may be named."""
    there = previewer.tenant(tenant).notifications
    rows = {name: previewer.channels(tenant, name) for name in there}
    if json:
        print_json({"tenant": tenant, "notifications": rows})
        return
    table = Table(title=f"Notifications of tenant {tenant}", title_justify="left")
    for column in ("notification", "channels", "languages", "template"):
        table.add_column(column)
    for name, channels in rows.items():
        for use in uses_of(there[name]):
            kind = f"{use.template} (digest)" if use.digest else use.template
            tongues = " ".join(previewer.locales(tenant, use))
            table.add_row(Text(name), Text(" ".join(channels)), Text(tongues), Text(kind))
    print_table(table)


def _show(found: Sequence[Preview], unused: Sequence[str], out: Path | None) -> None:
    if len(found) == 1:
        _show_whole(found[0])
    else:
        _show_table(found)
    if unused:
        console.print(Text(f"no template uses: {', '.join(unused)}", style="dim"), soft_wrap=True)
    if out is not None:
        console.print(Text(f"written to {out}", style="dim"), soft_wrap=True)


def _show_table(found: Sequence[Preview]) -> None:
    table = Table(title=_title(found[0]), title_justify="left")
    for column in ("channel", "locale", "written in", "first words", "size"):
        table.add_column(column, overflow="fold")
    for each in found:
        first = Text(headline(each)) if each.content else Text("cannot be rendered", "red")
        size = Text("; ".join(map(figure, each.measures)))
        table.add_row(each.channel, each.locale, each.written_in, first, size)
    print_table(table)
    for each in found:
        _show_problems(each, f"{each.channel} {each.locale}: ")


def _title(found: Preview) -> str:
    kind = "digest " if found.digest else ""
    named = "" if found.template == found.notification else f", {kind}template {found.template}"
    return f"{found.notification}{named}"


def _show_whole(found: Preview) -> None:
    """Print one preview: what is seen, letter by letter, then the figures."""
    title = f"{_title(found)}: {found.channel}, {found.locale}"
    spoken = f" (written in {found.written_in})" if found.written_in not in ("", found.locale) else ""
    console.print(Text(f"{title}{spoken}", style="bold"), soft_wrap=True)
    for label, value in shown(found)["seen"].items():
        console.print(Text.assemble((f"{label}: ", "dim"), str(value)), soft_wrap=True)
    for measure in found.measures:
        console.print(Text(f"  {figure(measure)}", style="cyan"), soft_wrap=True)
    _show_problems(found, "")


def _show_problems(found: Preview, where: str) -> None:
    if found.problem:
        console.print(Text.assemble(("✗", "red"), f" {where}{found.problem}"), soft_wrap=True)
    for field in found.missing:
        mark = ("!", "yellow") if field.optional else ("✗", "red")
        cure = f", did you mean `{field.close}`?" if field.close else ""
        expected = " (the template expects that)" if field.optional else ""
        has = f"; there is {', '.join(field.has)}" if field.has and not field.optional else ""
        text = f" {where}the data has no `{field.field}`{expected}{cure}{has}: {', '.join(field.places)}"
        console.print(Text.assemble(mark, text), soft_wrap=True)
    for note in found.notes:
        console.print(Text.assemble(("!", "yellow"), f" {where}{note}"), soft_wrap=True)


def figure(measure: Measure) -> str:
    """Write a figure in short.

    >>> figure(Measure("text", 152, "septets", 160)), figure(Measure("segments", 1, "GSM-7"))
    ('text 152/160 septets', 'segments 1 GSM-7')
    """
    limit = "" if measure.limit is None else f"/{measure.limit:,}"
    return f"{measure.name} {measure.value:,}{limit} {measure.unit}"
