"""The endpoints that there are: those of the tenants' files, and those that were set over HTTP."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tocsin.catalog.catalog import Catalog
from tocsin.catalog.webhooks import WebhookSpec, url_problem
from tocsin.delivery.reports.endpoint import DEFAULT_STATUSES, GIVE_UP_MS, Endpoint
from tocsin.delivery.reports.store import SetEndpoint
from tocsin.errors import SettingsError
from tocsin.formats.sealed import Seal
from tocsin.providers.standard_webhooks import secret_bytes

Faults = dict[str, str]
"""What keeps an endpoint from being used, by `tenant/name`."""


class Resolver:
    """Makes endpoints of what is declared, with their secrets.

    Args:
        environment: where `env:NAME` is looked up.
        seal: opens the secrets of endpoints that were set over HTTP.
        allow_private: whether endpoints may be in private networks.
    """

    def __init__(self, environment: Mapping[str, str], seal: Seal, *, allow_private: bool) -> None:
        self._environment = environment
        self._seal = seal
        self._allow_private = allow_private

    def resolve(
        self, catalog: Catalog, stored: Mapping[str, SetEndpoint]
    ) -> tuple[dict[str, Endpoint], Faults]:
        """Return every endpoint that can be used, and why others cannot; a file wins over what was set."""
        made: dict[str, Callable[[], Endpoint]] = {}
        for key, one in stored.items():
            tenant, _, name = key.partition("/")
            if tenant in catalog.tenants:
                made[key] = partial(self._of_set, tenant, name, one)
        for tenant, compiled in catalog.tenants.items():
            for name, spec in compiled.spec.webhooks.items():
                made[f"{tenant}/{name}"] = partial(self._of_file, tenant, name, spec)
        found: dict[str, Endpoint] = {}
        faults: Faults = {}
        for key, make in made.items():
            try:
                found[key] = self._checked(make())
            except (SettingsError, ValueError, OSError) as error:
                faults[key] = getattr(error, "strerror", None) or str(error)
        return found, faults

    def _checked(self, endpoint: Endpoint) -> Endpoint:
        if problem := url_problem(endpoint.url, allow_private=self._allow_private):
            msg = f"its url is wrong: {problem}"
            raise SettingsError(msg)
        return endpoint

    def _of_set(self, tenant: str, name: str, one: SetEndpoint) -> Endpoint:
        return Endpoint(
            tenant,
            name,
            one.url,
            one.secrets(self._seal),
            frozenset(one.statuses or DEFAULT_STATUSES),
            frozenset(one.notifications),
            one.give_up_ms or GIVE_UP_MS,
        )

    def _of_file(self, tenant: str, name: str, spec: WebhookSpec) -> Endpoint:
        return Endpoint(
            tenant,
            name,
            spec.url,
            tuple(secret_bytes(self._secret(each)) for each in spec.secret),
            frozenset(spec.statuses or DEFAULT_STATUSES),
            frozenset(spec.notifications),
            spec.give_up_ms or GIVE_UP_MS,
        )

    def _secret(self, reference: str) -> str:
        kind, _, place = reference.partition(":")
        if kind == "file":
            return Path(place).read_text("utf-8").strip()
        found = self._environment.get(place, "")
        if not found:
            msg = f"its secret is missing: set the variable {place}"
            raise SettingsError(msg)
        return found
