"""`tocsin bounces`: reads mail that came back and writes receipts."""

import signal
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from tocsin.app.settings import Settings
from tocsin.bounces.maildir import Maildir
from tocsin.bounces.reader import BounceReader
from tocsin.bounces.returned import Keys
from tocsin.bounces.source import Source
from tocsin.cli.bounces_kafka import ReceiptWriter
from tocsin.cli.bounces_lookup import MessageLookup
from tocsin.cli.bounces_metrics import BounceMetrics
from tocsin.cli.bounces_run import Shown, follow_source, listen, read_once, say_totals
from tocsin.cli.output import fail
from tocsin.errors import SettingsError
from tocsin.formats.marks import Marks
from tocsin.formats.return_paths import ReturnPaths
from tocsin.model.outcome import ReceiptEvent

_LIBRARIES = {"imap": "imapclient", "listen": "aiosmtpd"}


class Places(NamedTuple):
    """Where returned mail is, as the options say: one of three."""

    maildir: Path | None
    imap: str
    listen: str


def bounces(
    *,
    maildir: Annotated[Path | None, typer.Option(help="read the new mails of this Maildir")] = None,
    imap: Annotated[str, typer.Option(help="or of a folder: imaps://user@host/INBOX")] = "",
    imap_password: Annotated[
        str, typer.Option(envvar="TOCSIN_IMAP_PASSWORD", help="of its user", show_default=False)
    ] = "",
    imap_ca: Annotated[Path | None, typer.Option(help="further root certificates, a PEM file")] = None,
    listen_at: Annotated[
        str, typer.Option("--listen", help="or take them: lmtp://127.0.0.1:2424 or smtp://…")
    ] = "",
    accept: Annotated[list[str] | None, typer.Option(help="with --listen: a feedback loop's address")] = None,
    quarantine: Annotated[
        Path | None, typer.Option(help="with --listen: Maildir for what nobody believes")
    ] = None,
    follow: Annotated[bool, typer.Option(help="wait for more, until SIGTERM")] = False,
    token_days: Annotated[int, typer.Option(min=1, help="believe a return path for so many days")] = 60,
    dry_run: Annotated[bool, typer.Option(help="say what the mails mean; write and move nothing")] = False,
    metrics_port: Annotated[int, typer.Option(min=0, max=65_535, help="serve /metrics on this port")] = 0,
    json: Annotated[bool, typer.Option("--json", help="print an object a mail, then the totals")] = False,
) -> None:
    """Read mail that came back, and write bounces and complaints as receipts."""
    places = Places(maildir, imap, listen_at)
    _check(places, dry_run=dry_run)
    settings, stop = Settings(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    secret = settings.secret_bytes()
    keys = Keys(ReturnPaths(secret), Marks(secret), token_days)
    shown = Shown(json=json, each=json or dry_run, progress=not json and not follow)
    with ExitStack() as stack:
        source: Source = _source(places, imap_password, imap_ca, quarantine or settings.state_dir / "bounces")
        stack.callback(source.close)
        reader = _reader(settings, keys, stack, dry_run=dry_run)
        metrics = BounceMetrics(reader, metrics_port, stack)
        if isinstance(source, Maildir) and listen_at:
            accepted = frozenset(each.lower() for each in accept or ())
            listen(listen_at, reader, keys.paths, accepted, source, shown, stop)
        else:
            metrics.watch(source.waiting)
            _read(source, reader, shown, stop, follow=follow, dry_run=dry_run)
        say_totals(reader, json=json)


def _check(places: Places, *, dry_run: bool) -> None:
    named = [name for name, value in places._asdict().items() if value]
    if len(named) != 1:
        fail("name where the mail is: one of --maildir, --imap and --listen", code=2)
    if dry_run and places.listen:
        fail("--dry-run: not with --listen, which must take or refuse a mail; try it with --maildir", code=2)
    library = _LIBRARIES.get(named[0])
    if library and not find_spec(library):
        fail(f"--{named[0]}: {library} is not installed: pip install '.[bounces]' in Tocsin's folder", code=2)


def _reader(settings: Settings, keys: Keys, stack: ExitStack, *, dry_run: bool) -> BounceReader:
    lookup = MessageLookup(settings)
    stack.callback(lookup.close)
    if dry_run:
        return BounceReader(keys, lookup.find, _write_nothing)
    writer = ReceiptWriter(settings)
    stack.callback(writer.close)
    return BounceReader(keys, lookup.find, writer.write)


def _write_nothing(_receipts: Sequence[ReceiptEvent]) -> None:
    """Write nothing: it is a dry run."""
    return


def _source(places: Places, password: str, ca: Path | None, quarantine: Path) -> Source:
    """Open where the mail is; for a listener, the quarantine."""
    if places.listen:
        from tocsin.bounces.listener import read_listen

        read_listen(places.listen)
        return Maildir(quarantine, create=True)
    if places.maildir:
        return Maildir(places.maildir)
    return _imap(places.imap, password, ca)


def _imap(url: str, password: str, ca: Path | None) -> Source:
    from tocsin.bounces.imap import ImapFolder, read_address
    from tocsin.providers.tls import client_context

    if not password:
        fail("--imap: set TOCSIN_IMAP_PASSWORD", code=2)
    try:
        trusted = ca.read_bytes() if ca else b""
    except OSError as error:
        msg = f"--imap-ca {ca}: cannot be read ({error.strerror}); correct the path"
        raise SettingsError(msg) from None
    return ImapFolder(read_address(url), password, client_context(trusted))


def _read(
    source: Source,
    reader: BounceReader,
    shown: Shown,
    stop: threading.Event,
    *,
    follow: bool,
    dry_run: bool,
) -> None:
    if follow and not dry_run:
        follow_source(source, reader, shown, stop)
    else:
        read_once(source, source.peek if dry_run else source.read, reader, shown, stop)
