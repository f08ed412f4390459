"""`tocsin broadcasts`: how far broadcasts are, and what pauses, resumes or cancels one."""

import json as jsonlib
import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from dashboards import queries, store
from tocsin.app.settings import Settings
from tocsin.cli.entering import enter
from tocsin.cli.output import console, print_json
from tocsin.cli.query import JsonFlag, TenantFlag, print_rows
from tocsin.cli.send import write
from tocsin.formats.broadcasts import CONTROL_TYPE, Action
from tocsin.model import topics
from tocsin.model.audit import Action as Entered

app = typer.Typer(help="Show how far broadcasts are; pause, resume or cancel one.")
Whose = Annotated[str, typer.Option("--tenant", help="tenant; that of `broadcasts --tenant` unless given")]
EventId = Annotated[str, typer.Argument(metavar="ID", help="id of the broadcast's event")]


@app.callback(invoke_without_command=True)
def broadcasts(context: typer.Context, *, tenant: TenantFlag = "default", json: JsonFlag = False) -> None:
    """Show how far each broadcast is: users with an outcome, parts that have ended, and how it ended."""
    if context.invoked_subcommand is not None:
        context.obj = tenant
        return
    with store.connect(Settings().clickhouse) as client:
        rows = queries.run(client, "broadcasts", {"tenant": tenant})
    if json:
        print_json(rows)
    else:
        print_rows(rows, "Broadcasts", f"Tenant {tenant} has had no broadcast.")


@app.command()
def pause(context: typer.Context, broadcast: EventId, *, tenant: Whose = "") -> None:
    """Pause a broadcast; users that were not reached yet wait."""
    _control(tenant or context.obj, broadcast, Action.PAUSE)


@app.command()
def resume(context: typer.Context, broadcast: EventId, *, tenant: Whose = "") -> None:
    """Resume a broadcast that is paused."""
    _control(tenant or context.obj, broadcast, Action.RESUME)


@app.command()
def cancel(context: typer.Context, broadcast: EventId, *, tenant: Whose = "") -> None:
    """End a broadcast; users that were not reached yet get nothing."""
    _control(tenant or context.obj, broadcast, Action.CANCEL)


_ENTERED = {
    Action.PAUSE: Entered.BROADCAST_PAUSE_ASKED,
    Action.RESUME: Entered.BROADCAST_RESUME_ASKED,
    Action.CANCEL: Entered.BROADCAST_CANCEL_ASKED,
}


def _control(tenant: str, broadcast: str, action: Action) -> None:
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/tocsin/broadcasts",
        "type": CONTROL_TYPE,
        "time": datetime.now(UTC).isoformat(),
        "tenant": tenant,
        "data": {"id": broadcast, "action": action.value},
    }
    settings = Settings()
    origin = write(settings, topics.EVENTS, f"{tenant}/{broadcast}", jsonlib.dumps(event).encode())
    enter(settings, _ENTERED[action], tenant, broadcast, origin=origin)
    of_tenant = "" if tenant == "default" else f" --tenant {tenant}"
    said = f" {action.value} asked for at {origin}; ask with: tocsin why {origin}{of_tenant}"
    console.print(Text.assemble(("✓", "green"), said), soft_wrap=True)
