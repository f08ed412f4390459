"""What people do with endpoints: list, switch on and off, replay. Used by the command and the gateway."""

from collections.abc import Iterable, Mapping

import msgspec

from tocsin.catalog.catalog import Catalog
from tocsin.catalog.webhooks import WebhookSpec
from tocsin.delivery.reports.endpoint import DEFAULT_STATUSES, GIVE_UP_MS
from tocsin.delivery.reports.store import EndpointState, ReportStore, SetEndpoint


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as people see it; no secret is in it.

    Attributes:
        tenant: whose it is.
        name: its name.
        url: where reports go.
        place: where it is declared: `file` (of the tenant) or `api`.
        state: `on`, `failing` or `off`.
        statuses: outcomes that are reported.
        notifications: of these only; empty for all.
        give_up_s: it is switched off after this long without success.
        taken_ms: when the last report was taken; 0 for none yet.
        failing_ms: since when it fails.
        error: how it failed last, or why it is off.
        off_ms: since when it is off.
    """

    tenant: str
    name: str
    url: str
    place: str
    state: str
    statuses: list[str]
    notifications: list[str]
    give_up_s: int
    taken_ms: int = 0
    failing_ms: int = 0
    error: str = ""
    off_ms: int = 0


class EndpointAdmin:
    """Knows the endpoints of files and those that were set over HTTP.

    Args:
        store: what is kept in Redis; its `RedisError` passes through.
    """

    def __init__(self, store: ReportStore) -> None:
        self.store = store

    async def list(self, catalog: Catalog, tenant: str = "") -> list[Listed]:
        """List the endpoints of a tenant, or of all."""
        found = {
            key: listed
            for key, listed in (*_of_api(await self.store.endpoints()), *_of_files(catalog))
            if tenant in ("", listed.tenant)
        }
        return [_with_state(found[key], await self.store.state(key)) for key in sorted(found)]

    async def find(self, catalog: Catalog, tenant: str, name: str) -> Listed | None:
        """Find one endpoint."""
        return next((each for each in await self.list(catalog, tenant) if each.name == name), None)


def _of_files(catalog: Catalog) -> Iterable[tuple[str, Listed]]:
    for tenant in catalog.tenants.values():
        for name, spec in tenant.spec.webhooks.items():
            yield f"{tenant.name}/{name}", _listed(tenant.name, name, "file", spec)


def _of_api(stored: Mapping[str, SetEndpoint]) -> Iterable[tuple[str, Listed]]:
    for key, one in stored.items():
        tenant, _, name = key.partition("/")
        yield key, _listed(tenant, name, "api", one)


def _listed(tenant: str, name: str, place: str, given: WebhookSpec | SetEndpoint) -> Listed:
    return Listed(
        tenant=tenant,
        name=name,
        url=given.url,
        place=place,
        state="on",
        statuses=sorted(given.statuses or DEFAULT_STATUSES),
        notifications=sorted(given.notifications),
        give_up_s=(given.give_up_ms or GIVE_UP_MS) // 1_000,
    )


def _with_state(listed: Listed, state: EndpointState) -> Listed:
    word = "off" if state.is_off else "failing" if state.failing_ms else "on"
    return msgspec.structs.replace(
        listed,
        state=word,
        taken_ms=state.taken_ms,
        failing_ms=state.failing_ms,
        error=state.why if state.is_off else state.error,
        off_ms=state.off_ms,
    )
