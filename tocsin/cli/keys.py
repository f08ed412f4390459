"""`tocsin keys`: API keys of the gateway."""

import asyncio
import contextlib
import difflib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, NamedTuple, TypeVar

import typer
from redis.exceptions import RedisError
from rich.text import Text

from tocsin.app.settings import Settings
from tocsin.catalog.loader import load_apart
from tocsin.cli.entering import enter
from tocsin.cli.output import console, fail, print_json
from tocsin.cli.query import JsonFlag, TenantFlag, print_rows
from tocsin.cli.times import span_s
from tocsin.delivery.redis_client import open_client
from tocsin.errors import CatalogError
from tocsin.gateway.key_admin import KeyAdmin, Made
from tocsin.gateway.key_store import KeyStore
from tocsin.gateway.keys import SCOPES, Key
from tocsin.model.audit import Action
from tocsin.model.explanations import moment

T = TypeVar("T")
app = typer.Typer(help="API keys of the gateway: create, rotate, revoke and list them.", no_args_is_help=True)
KeyId = Annotated[str, typer.Argument(metavar="ID", help="id of the key, as `tocsin keys list` shows it")]


class _Redis(NamedTuple):
    """The keys in Redis, and who changes them."""

    store: KeyStore
    admin: KeyAdmin


@app.command()
def create(
    *,
    tenant: TenantFlag = "default",
    scope: Annotated[
        list[str] | None, typer.Option(help="what the key may do, once for each scope; all unless given")
    ] = None,
    name: Annotated[str, typer.Option(help="what people call it")] = "",
    signing: Annotated[
        bool, typer.Option("--signing", help="an appKey with an appSecret that signs each request")
    ] = False,
    per_s: Annotated[float, typer.Option(min=0, help="requests a second; 0: as TOCSIN_GATEWAY_PER_S")] = 0,
    new_tenant: Annotated[
        bool, typer.Option("--new-tenant", help="the catalog need not have the tenant yet")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Create a key, and show its secret: this once."""
    settings, now_ms = Settings(), _now_ms()
    if not new_tenant:
        _check_tenant(settings, tenant)

    async def work(redis: _Redis) -> Made:
        return await redis.admin.create(tenant, scope or [], now_ms, name=name, signs=signing, per_s=per_s)

    made = _asked(settings, work)
    _show_made(made, json=json)
    _enter(settings, Action.KEY_CREATED, made.key)


@app.command()
def rotate(
    key_id: KeyId,
    *,
    overlap: Annotated[str, typer.Option(help="how long the old secret stays valid: 90s, 5m, 1h, 7d")] = "1d",
    json: JsonFlag = False,
) -> None:
    """Give a key a new secret, and show it: this once. The old one stays valid for the overlap."""
    settings, now_ms = Settings(), _now_ms()
    overlap_ms = _span_ms(overlap)

    async def work(redis: _Redis) -> Made:
        return await redis.admin.rotate(key_id, now_ms, overlap_ms)

    made = _asked(settings, work)
    _show_made(made, json=json)
    _enter(settings, Action.KEY_ROTATED, made.key, overlap_s=overlap_ms // 1_000)


@app.command()
def revoke(key_id: KeyId, *, json: JsonFlag = False) -> None:
    """End a key for ever. Gateways refuse it within seconds."""
    settings, now_ms = Settings(), _now_ms()

    async def work(redis: _Redis) -> Key:
        return await redis.admin.revoke(key_id, now_ms)

    key = _asked(settings, work)
    if json:
        print_json(row(key, {}))
    else:
        console.print(Text.assemble(("✓", "green"), f" {key_id} of tenant {key.tenant} is revoked"))
    _enter(settings, Action.KEY_REVOKED, key)


@app.command("list")
def list_keys(
    *,
    tenant: Annotated[str, typer.Option(help="only this tenant's")] = "",
    json: JsonFlag = False,
) -> None:
    """List the keys: whose they are, what they may do, when they were last used. No secret is shown."""

    async def work(redis: _Redis) -> tuple[list[Key], dict[str, int]]:
        return await redis.store.all(), await redis.store.used()

    keys, used = _asked(Settings(), work)
    rows = [row(key, used) for key in _ordered(keys) if tenant in {"", key.tenant}]
    if json:
        print_json(rows)
        return
    print_rows(
        [_cells(each) for each in rows],
        "API keys",
        "There is no key: `tocsin keys create --tenant …` makes one.",
    )


def _check_tenant(settings: Settings, tenant: str) -> None:
    """End unless the catalog has the tenant: whatever a key of a mistyped one sends matches nothing."""
    anyway = "--new-tenant creates the key anyway"
    try:
        catalog = load_apart(settings.catalog)
    except CatalogError as error:
        fail(f"the catalog cannot be read, so nobody knows its tenants; {anyway}:\n{error}", code=2)
    known = sorted({*catalog.tenants, *catalog.faults})
    if tenant in known or "/" in tenant:  # with a slash no option helps: the one who makes the key says so
        return
    close = difflib.get_close_matches(tenant, known, 1)
    cure = f"did you mean {close[0]}? It has" if close else "it has"
    fail(f"--tenant: the catalog has no tenant {tenant!r}; {cure}: {', '.join(known)}; {anyway}", code=2)


def _ordered(keys: list[Key]) -> list[Key]:
    return sorted(keys, key=lambda key: (key.tenant, key.created_ms, key.key_id))


def row(key: Key, used: dict[str, int]) -> dict[str, Any]:
    """Describe a key without its secrets."""
    now_ms = _now_ms()
    ends = [each.until_ms for each in key.valid(now_ms) if each.until_ms]
    return {
        "id": key.key_id,
        "tenant": key.tenant,
        "name": key.name,
        "kind": "signing" if key.signs else "bearer" if key.secrets else "",
        "scopes": list(key.scopes),
        "per_s": key.per_s,
        "created": moment(key.created_ms),
        "used": moment(used[key.key_id]) if key.key_id in used else "",
        "old_secret_until": moment(min(ends)) if ends else "",
        "revoked": moment(key.revoked_ms) if key.revoked_ms else "",
    }


def _cells(key: dict[str, Any]) -> dict[str, str]:
    """Lay out a key in as few columns as a terminal has, one fact a line."""
    rate = f"{key['per_s']:g} requests/s" if key["per_s"] else ""
    old = f"old secret until\n{key['old_secret_until']}" if key["old_secret_until"] else ""
    state = f"revoked\n{key['revoked']}" if key["revoked"] else old or "valid"
    is_all = set(key["scopes"]) == set(SCOPES)
    return {
        "id": "\n".join(filter(None, (key["id"], key["kind"]))),
        "tenant": key["tenant"],
        "name": key["name"],
        "may": "\n".join(filter(None, [*(["everything"] if is_all else key["scopes"]), rate])),
        "last used": key["used"].replace(" ", "\n", 1),
        "state": state,
    }


def _show_made(made: Made, *, json: bool) -> None:
    names = ("app_key", "app_secret") if made.key.signs else ("id", "key")
    secret = dict(zip(names, (made.key.key_id, made.secret), strict=True))
    if json:
        print_json({**row(made.key, {}), **secret})
        return
    for name, value in secret.items():
        console.print(f"{name:10} {value}", soft_wrap=True, markup=False)
    console.print(
        "Keep it now: the secret is not shown again, and Tocsin cannot read it back.", soft_wrap=True
    )


def _enter(settings: Settings, action: Action, key: Key, overlap_s: int | None = None) -> None:
    enter(settings, action, key.tenant, key.key_id, scopes=list(key.scopes), overlap_s=overlap_s)


def _asked(settings: Settings, work: Callable[[_Redis], Awaitable[T]]) -> T:
    async def run() -> T:
        async with _opened(settings) as redis:
            return await work(redis)

    try:
        return asyncio.run(run())
    except (RedisError, OSError) as error:
        fail(f"Redis does not answer ({type(error).__name__}): check TOCSIN_REDIS; nothing is changed")


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[_Redis]:
    client = open_client(settings.redis)
    store = KeyStore(client, settings.topic_prefix)
    try:
        yield _Redis(store, KeyAdmin(store, settings.secret_bytes()))
    finally:
        await client.aclose()


def _span_ms(text: str) -> int:
    try:
        return 0 if text == "0" else span_s(text) * 1_000
    except ValueError as error:
        fail(f"--overlap: {error}, or 0", code=2)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
