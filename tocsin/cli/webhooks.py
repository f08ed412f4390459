"""`tocsin webhooks`: the endpoints that delivery reports go to."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from redis.exceptions import RedisError
from rich.text import Text

from tocsin.app.settings import Settings
from tocsin.catalog.loader import load_apart
from tocsin.cli.entering import enter
from tocsin.cli.output import FAULT, console, fail, print_json
from tocsin.cli.query import JsonFlag, print_rows
from tocsin.cli.times import moment_ms
from tocsin.delivery.redis_client import open_client
from tocsin.delivery.reports.admin import EndpointAdmin, Listed
from tocsin.delivery.reports.store import ReportStore
from tocsin.model.audit import Action
from tocsin.model.explanations import moment

T = TypeVar("T")
app = typer.Typer(
    help="Delivery reports: list the endpoints of tenants, switch one on or off, replay.",
    no_args_is_help=True,
)
Key = Annotated[
    str, typer.Argument(metavar="[TENANT/]NAME", help="endpoint, as `tocsin webhooks list` shows it")
]


@app.command("list")
def list_endpoints(
    *,
    tenant: Annotated[str, typer.Option(help="only this tenant's")] = "",
    json: JsonFlag = False,
) -> None:
    """List the endpoints: where they are, whether they take reports, and what became of the last one."""
    settings = Settings()
    catalog = load_apart(settings.catalog)
    found = _asked(settings, lambda admin: admin.list(catalog, tenant))
    rows = [row(each) for each in found]
    if json:
        print_json(rows)
        return
    names = ("endpoint", "state", "url", "taken", "failing_since", "off_since", "error")
    shown = [{name: each[name] for name in names} for each in rows]
    cure = "There is no endpoint: write `webhooks:` into a tenant's file, or PUT /v1/webhooks/{name}."
    print_rows(shown, "Endpoints of delivery reports", cure)


@app.command()
def retry(
    key: Key,
    *,
    since: Annotated[
        str, typer.Option(help="post again what was decided since: a time, a day, or how long ago, like 6h")
    ] = "",
    json: JsonFlag = False,
) -> None:
    """Switch an endpoint on: it goes on where it was, or from a time, which replays what follows."""
    settings, from_ms = Settings(), 0
    if since:
        try:
            from_ms = max(1, moment_ms(since, _now_ms()))
        except ValueError as error:
            fail(f"--since {since!r}: {error}", code=2)
    found = _named(settings, key)
    _asked(settings, lambda admin: admin.store.switch_on(f"{found.tenant}/{found.name}", from_ms))
    enter(settings, Action.WEBHOOK_SWITCHED_ON, found.tenant, found.name, from_ms=from_ms)
    text = f"is on, and gets what was decided since {moment(from_ms)}" if from_ms else "is on, where it was"
    _say(found, text, json=json)


@app.command()
def disable(key: Key, *, json: JsonFlag = False) -> None:
    """Switch an endpoint off. It keeps its position; reports wait as long as the topic keeps outcomes."""
    settings = Settings()
    found = _named(settings, key)
    _asked(
        settings,
        lambda admin: admin.store.switch_off(f"{found.tenant}/{found.name}", "by hand", _now_ms()),
    )
    enter(settings, Action.WEBHOOK_SWITCHED_OFF, found.tenant, found.name, why="by hand")
    _say(found, "is off", json=json)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _say(found: Listed, text: str, *, json: bool) -> None:
    if json:
        print_json({"endpoint": f"{found.tenant}/{found.name}", "state": text})
    else:
        console.print(Text.assemble(("✓", "green"), f" {found.tenant}/{found.name} {text}"), soft_wrap=True)


def _named(settings: Settings, key: str) -> Listed:
    """Find the endpoint that is named; of the tenant `default` unless another one is."""
    tenant, _, name = key.rpartition("/")
    catalog = load_apart(settings.catalog)
    found = _asked(settings, lambda admin: admin.find(catalog, tenant or "default", name))
    if found is None:
        fail(f"there is no endpoint {tenant or 'default'}/{name}; `tocsin webhooks list` shows them", FAULT)
    return found


def row(found: Listed) -> dict[str, Any]:
    """Describe an endpoint, with times for people."""
    times = {
        "taken": found.taken_ms,
        "failing_since": found.failing_ms,
        "off_since": found.off_ms,
    }
    return {
        "endpoint": f"{found.tenant}/{found.name}",
        **msgspec.to_builtins(found),
        **{name: moment(at_ms) if at_ms else "" for name, at_ms in times.items()},
    }


def _asked(settings: Settings, work: Callable[[EndpointAdmin], Awaitable[T]]) -> T:
    async def ask() -> T:
        redis = open_client(settings.redis)
        try:
            return await work(EndpointAdmin(ReportStore(redis, settings.topic_prefix)))
        finally:
            await redis.aclose()

    try:
        return asyncio.run(ask())
    except (RedisError, OSError) as error:
        fail(f"Redis does not answer ({type(error).__name__}): check TOCSIN_REDIS")
