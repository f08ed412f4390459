"""`tocsin db`: the ClickHouse schema, forward and back, and how long rows are kept."""

from typing import Annotated

import typer
from rich.status import Status
from rich.table import Table

from dashboards import migrate as schema
from dashboards import retention as keeping
from dashboards import store
from tocsin.app.settings import Settings
from tocsin.cli.output import console, print_json, print_table

app = typer.Typer(
    help="The ClickHouse schema: bring it up to date, roll it back, see what is applied.",
    no_args_is_help=True,
)
JsonFlag = Annotated[bool, typer.Option("--json", help="print JSON")]
Wait = Annotated[float, typer.Option(help="seconds to wait for another process that migrates")]


@app.command()
def migrate(
    *,
    to: Annotated[int | None, typer.Option(help="number of the last migration wanted; the newest")] = None,
    wait_s: Wait = schema.WAIT_S,
    json: JsonFlag = False,
) -> None:
    """Create or update the ClickHouse schema; rows that are there stay. Safe to run again."""
    with console.status("") as progress:
        show = _show_step(progress, "applying", json=json)
        applied = schema.migrate(Settings().clickhouse, to, wait_s=wait_s, step=show)
    _report("applied", applied, "the schema is up to date", json=json)


@app.command()
def rollback(
    *,
    to: Annotated[int, typer.Option(help="number of the last migration that stays; 0 for none")],
    lose_data: Annotated[bool, typer.Option("--lose-data", help="also where rows are lost")] = False,
    wait_s: Wait = schema.WAIT_S,
    json: JsonFlag = False,
) -> None:
    """Take migrations back, the newest first; outcomes stay unless you roll back to 0."""
    with console.status("") as progress:
        show = _show_step(progress, "rolling back", json=json)
        undone = schema.rollback(Settings().clickhouse, to, lose_data=lose_data, wait_s=wait_s, step=show)
    _report("rolled back", undone, "nothing to roll back", json=json)


@app.command()
def status(*, json: JsonFlag = False) -> None:
    """List the migrations and since when each is applied."""
    states = schema.status(Settings().clickhouse)
    if json:
        print_json([state._asdict() for state in states])
        return
    table = Table("migration", "applied")
    for state in states:
        when = f"{state.at:%Y-%m-%d %H:%M:%S}" if state.at else "no"
        table.add_row(state.title, when if state.known else f"{when}, by a newer Tocsin")
    print_table(table)


@app.command()
def unlock() -> None:
    """Remove the lock of a `tocsin db migrate` that was killed; make sure first that it is gone."""
    holder = schema.unlock(Settings().clickhouse)
    console.print(f"[green]✓[/green] removed the lock of {holder}" if holder else "there is no lock")


retention = typer.Typer(help="How long outcomes are kept, by tenant and status.")
app.add_typer(retention, name="retention")


@retention.callback(invoke_without_command=True)
def show_retention(context: typer.Context, *, json: JsonFlag = False) -> None:
    """Show how many days outcomes are kept; what is not listed is kept for ever."""
    if context.invoked_subcommand is not None:
        return
    with store.connect(Settings().clickhouse) as client:
        rows = keeping.kept(client)
    if json:
        print_json([row._asdict() for row in rows])
        return
    table = Table("tenant", "status", "days")
    for row in rows:
        table.add_row(row.tenant, row.status, str(row.days))
    print_table(table)


@retention.command("set")
def set_retention(
    *,
    tenant: Annotated[str, typer.Option(help="tenant; * for all without a setting of their own")],
    status: Annotated[str, typer.Option(help="status of outcomes, like delivered; * for each")] = "*",
    days: Annotated[int, typer.Option(help="days to keep them; 0 for ever")],
) -> None:
    """Keep outcomes and receipts of a tenant and status so many days; older ones are deleted soon."""
    with store.connect(Settings().clickhouse, timeout_s=3600) as client:
        keeping.keep(client, tenant, status, days)
    console.print(f"[green]✓[/green] {tenant} {status}: {f'{days} days' if days else 'for ever'}")


def _show_step(progress: Status, word: str, *, json: bool) -> schema.Step:
    """Show each migration as it begins; to a program, nothing."""
    return str if json else lambda title: progress.update(f"{word} {title}")


def _report(word: str, titles: list[str], none: str, *, json: bool) -> None:
    if json:
        print_json({word.replace(" ", "_"): titles})
        return
    for title in titles:
        console.print(f"[green]✓[/green] {word} {title}")
    if not titles:
        console.print(none)
