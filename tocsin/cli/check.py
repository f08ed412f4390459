"""`tocsin check`: settings, catalog, accounts and servers; every failure with its cure."""

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.markup import escape

from dashboards import store
from flows.channels import channels_of_accounts, used_channels
from flows.decoding import open_registry
from flows.kept_catalog import kept_versions
from sources.topics import TopicAdmin
from tocsin.app.settings import Settings, environment
from tocsin.catalog.accounts import channels_without_account, check_accounts
from tocsin.catalog.content_files import content_version
from tocsin.catalog.loader import check as check_catalog
from tocsin.catalog.loader import load, load_apart
from tocsin.catalog.silent_steps import silent_steps
from tocsin.catalog.sources import declared_topics
from tocsin.cli.check_choice import choice_mistakes, choice_notes, failover_notes
from tocsin.cli.check_provider import check_provider
from tocsin.cli.output import FAULT, console, print_json
from tocsin.delivery.redis_check import Right, rights
from tocsin.delivery.redis_check import check as check_redis
from tocsin.errors import SettingsError, SinkError, TocsinError
from tocsin.model import topics
from tocsin.model.engagement import Level
from tocsin.model.zones import ZONE_DATA
from tocsin.providers.accounts import Accounts, load_accounts
from tocsin.providers.clear_secrets import clear_secrets
from tocsin.providers.inapp import inbox_policies
from tocsin.providers.registry import vendors
from tocsin.render.check import check_templates
from tocsin.render.expression_samples import sample_problems


class Finding(NamedTuple):
    """Holds what one check found; no problems means it passed."""

    what: str
    problems: list[str]


def check(
    *,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    servers: Annotated[bool, typer.Option(help="ask the servers too")] = True,
    catalog: Annotated[
        Path | None, typer.Option(help="check this catalog folder instead of the one set")
    ] = None,
    provider: Annotated[
        str, typer.Option(metavar="NAME", help="prove the credentials of this account only, without sending")
    ] = "",
) -> None:
    """Check the settings, the catalog and its templates, the provider accounts and the servers."""
    settings = Settings() if catalog is None else Settings(catalog=catalog)
    if provider:
        check_provider(settings, provider, json=json)
        return
    findings = [Finding(what, _problems(look)) for what, look in _looks(settings, servers=servers).items()]
    if json:
        found: dict[str, Any] = {finding.what: finding.problems for finding in findings}
        notes = list(_notes(settings, findings))
        print_json({**found, "notes": notes, "catalog_version": _catalog_version(settings)})
    else:
        for finding in findings:
            _show(finding)
        console.print(f"  {_versions(settings)}", soft_wrap=True)
        for note in _notes(settings, findings):
            console.print(f"[yellow]![/yellow] {escape(note)}", soft_wrap=True)
    if any(finding.problems for finding in findings):
        raise typer.Exit(FAULT)


def _looks(settings: Settings, *, servers: bool) -> dict[str, Callable[[], list[str]]]:
    looks: dict[str, Callable[[], list[str]]] = {
        "settings": lambda: _settings(settings),
        "catalog": lambda: _catalog(settings.catalog),
        "templates": lambda: _templates(settings.catalog),
        "accounts": lambda: _accounts(settings),
    }
    if servers:
        looks |= {
            "kafka": lambda: _kafka(settings),
            "redis": lambda: _redis(settings),
            "clickhouse": lambda: _clickhouse(settings.clickhouse),
        }
        if "registry" in declared_topics(settings.catalog).values():
            looks["schema registry"] = lambda: _registry(settings)
    return looks


def _problems(look: Callable[[], list[str]]) -> list[str]:
    try:
        return look()
    except (TocsinError, OSError) as error:
        return str(error).splitlines()
    except Exception as error:  # the other checks still have something to say
        return [f"{type(error).__name__}: {error}"]


def _settings(settings: Settings) -> list[str]:
    settings.secret_bytes()
    return []


def _catalog(catalog: Path) -> list[str]:
    return [str(problem) for problem in check_catalog(catalog) or sample_problems(catalog)]


def _templates(catalog: Path) -> list[str]:
    if check_catalog(catalog):
        return ["not checked yet: correct the catalog first"]
    return check_templates(catalog)


def _versions(settings: Settings) -> str:
    zones = f"time zones of {ZONE_DATA}, from the tzdata package"
    version = _catalog_version(settings)
    return f"outcomes name catalog {version}: {zones}" if version else zones


def _catalog_version(settings: Settings) -> str:
    """Return the version that outcomes name; empty if there is no such folder."""
    return content_version(settings.catalog) if settings.catalog.is_dir() else ""


def _accounts(settings: Settings) -> list[str]:
    accounts = _channels_of_accounts(settings)
    whole = not check_catalog(settings.catalog)  # else its own mistakes come first
    if not whole:
        return []
    found = [str(problem) for problem in check_accounts(settings.catalog, accounts)]
    return found + choice_mistakes(settings)


def _channels_of_accounts(settings: Settings) -> Mapping[str, str]:
    load_accounts(settings.providers, environment())  # here it is a mistake if there is no file
    return channels_of_accounts(settings.providers)


def _kafka(settings: Settings) -> list[str]:
    admin = TopicAdmin(settings.kafka, settings.topic_prefix, settings.kafka_options)
    admin.check(settings.partitions, topics.needed(_used(settings)))
    admin.declared([topics.declared(topic) for topic in declared_topics(settings.catalog)])
    return []


def _used(settings: Settings) -> tuple[str, ...]:
    """Return the channels in use; none while catalog or accounts have mistakes, which are told elsewhere."""
    try:
        return used_channels(settings)
    except (TocsinError, OSError):
        return ()


def _redis(settings: Settings) -> list[str]:
    return check_redis(settings.redis, redis_rights(settings))


def redis_rights(settings: Settings) -> list[Right]:
    """List the rights that the accounts need; mistakes in their file are told under `accounts`."""
    try:
        inboxes = inbox_policies(settings.providers, environment())
        shares_tokens = "apns" in _vendors(settings)
        alerts = settings.providers.exists() and _load(settings).alerts is not None
    except (TocsinError, OSError):
        inboxes, shares_tokens, alerts = [], False, False
    return rights(
        settings.topic_prefix,
        inboxes,
        shares_tokens=shares_tokens,
        alerts=alerts,
        webhooks=_has_webhooks(settings),
        gateway=bool(settings.gateway_url),
    )


def _has_webhooks(settings: Settings) -> bool:
    """Tell whether a tenant's file has endpoints; mistakes in the catalog are told under `catalog`."""
    try:
        return any(tenant.spec.webhooks for tenant in load_apart(settings.catalog).tenants.values())
    except TocsinError:
        return False


def _load(settings: Settings) -> Accounts:
    return load_accounts(settings.providers, environment())


def _vendors(settings: Settings) -> set[str]:
    if not settings.providers.exists():
        return set()
    return {each.vendor for each in load_accounts(settings.providers, environment()).accounts.values()}


def _registry(settings: Settings) -> list[str]:
    """Ask the schema registry that a declared topic needs."""
    registry = (
        None if check_catalog(settings.catalog) else open_registry(settings, load(settings.catalog).sources)
    )
    if registry is None:
        return []  # the catalog's own mistakes come first
    with closing(registry):
        problem = registry.check()
    return [problem] if problem else []


def _clickhouse(url: str) -> list[str]:
    try:
        with closing(store.connect(url)) as client:
            client.query("SELECT 1 FROM outcomes LIMIT 1")
    except SettingsError as error:
        return [str(error)]
    except store.AWAY as error:
        code = getattr(error, "code", None)
        if code in store.NO_SCHEMA_CODES:
            return ["TOCSIN_CLICKHOUSE: the schema is not there; run `tocsin db migrate`"]
        said = "no answer; is the server up, the address right?" if code is None else "the server refuses"
        return [f"TOCSIN_CLICKHOUSE: {said} ({store.reason(error)})"]
    except SinkError as error:
        return [str(error)]
    return []


def _show(finding: Finding) -> None:
    mark = "[red]✗[/red]" if finding.problems else "[green]✓[/green]"
    console.print(f"{mark} {finding.what}")
    for problem in finding.problems:
        console.print(f"    {problem}", soft_wrap=True, markup=False)


def _notes(settings: Settings, findings: list[Finding]) -> Iterator[str]:
    """Say what is no fault, but good to know: channels in use that nobody serves."""
    yield from _kept(settings)
    if any(finding.problems for finding in findings if finding.what in {"catalog", "accounts"}):
        return
    for channel in channels_without_account(settings.catalog, _channels_of_accounts(settings)):
        text = f"no account sends {channel}: its messages end as dead `misconfigured`"
        yield f"{text} until {settings.providers} has one"
    yield from clear_secrets(settings.providers)
    yield from choice_notes(settings)
    yield from map(str, failover_notes(settings))
    for step in silent_steps(settings.catalog, _reports(settings)):
        yield str(step)


def _kept(settings: Settings) -> Iterator[str]:
    """Say with which catalog a process starts for a tenant whose files have mistakes."""
    tenants = {problem.tenant for problem in check_catalog(settings.catalog)}
    for tenant in sorted(tenants) if "" not in tenants else ():
        if versions := kept_versions(settings.state_dir, tenant):
            text = f"processes here keep its last good catalog {', '.join(versions)}, also over a restart"
        else:
            text = "no process here has kept an older catalog: one that starts makes its events dead letters"
        yield f"tenant {tenant}: {text}"


def _reports(settings: Settings) -> Mapping[str, Set[Level]]:
    """Return the levels of receipts that the accounts of each channel can report."""
    found: dict[str, Set[Level]] = {}
    for account in load_accounts(settings.providers, environment()).accounts.values():
        vendor = vendors()[account.vendor]
        channel = vendor.channel_of(account)
        found[channel] = found.get(channel, frozenset()) | vendor.reports
    return found
