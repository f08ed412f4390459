"""The `tocsin` command."""

import sys

import typer
from pydantic import ValidationError

from cli import balance, check, demo, query, run, send, tail, topics
from cli.output import REFUSED, errors
from core.errors import SettingsError, SinkError, TocsinError

app = typer.Typer(
    name="tocsin",
    help="Domain events in Kafka become notifications people want.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("send")(send.send)
app.command("tail")(tail.tail)
app.command("balance")(balance.balance)
app.command("query")(query.query)
app.command("why")(query.why)
app.command("migrate")(query.migrate)
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
