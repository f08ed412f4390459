"""The `tocsin` command."""

import sys

import typer
from pydantic import ValidationError

from cli import topics
from cli.balance import balance
from cli.check import check
from cli.demo import demo
from cli.output import REFUSED, errors
from cli.query import migrate, query, why
from cli.run import run
from cli.send import send
from cli.tail import tail
from core.errors import SettingsError, SinkError, TocsinError

app = typer.Typer(
    name="tocsin",
    help="Domain events in Kafka become notifications people want.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
app.command("run")(run)
app.command("demo")(demo)
app.command("check")(check)
app.command("send")(send)
app.command("tail")(tail)
app.command("balance")(balance)
app.command("query")(query)
app.command("why")(why)
app.command("migrate")(migrate)
app.add_typer(topics.app, name="topics")


def main() -> None:
    """Run the command; errors Tocsin raises on purpose are one line, without a traceback."""
    try:
        app()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            errors.print(f"[red]✗[/red] TOCSIN_{name}: {problem['msg']}", soft_wrap=True)
        sys.exit(REFUSED)
    except SettingsError as error:
        errors.print(f"[red]✗[/red] {error}", soft_wrap=True)
        sys.exit(REFUSED)
    except (SinkError, TocsinError) as error:
        errors.print(f"[red]✗[/red] {error}", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
