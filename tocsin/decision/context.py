"""What is the same for every decision under one catalog: the catalog, its rules, the tenants' defaults."""

from collections.abc import Mapping
from typing import Final

from tocsin.catalog.compile import CompiledNotification, CompiledTenant
from tocsin.catalog.expressions import Scope
from tocsin.catalog.loader import Catalog
from tocsin.decision.evaluation import Stage
from tocsin.decision.policy import GatePolicy
from tocsin.decision.recipient import TenantDefaults, defaults_of
from tocsin.decision.rules import ORDER, Entry, Rules, bind

NO_DEFAULTS: Final = TenantDefaults("", "", None)
"""Of a tenant that is not in the catalog."""
EMPTY_SCOPE: Final = Scope({})
"""What expressions read that read nothing."""


def _defaults(tenant: CompiledTenant) -> TenantDefaults:
    return defaults_of(tenant.spec, tenant.channels)


class DecisionContext:
    """All that decisions under one catalog read besides the user's record and the input.

    Args:
        catalog: what is sent for which events.
        policy: windows and bounds that are the same for all tenants.
        order: the rules; the shipped ones unless given.

    Attributes:
        version: of the catalog.
        faulty: tenants whose files have mistakes and that have no older version in force.
        defaults: what holds for a tenant's users who have not chosen.
        rules: the rules that can apply to each notification, for each stage.
        correcting: tenants for which receipts correct profiles.
    """

    def __init__(self, catalog: Catalog, policy: GatePolicy, order: tuple[Entry, ...] = ORDER) -> None:
        self.catalog = catalog
        self.policy = policy
        self.version = catalog.version
        self._versions = {name: tenant.version for name, tenant in catalog.tenants.items()}
        self.faulty = catalog.faults.keys() - catalog.tenants.keys()
        self.defaults = {name: _defaults(tenant) for name, tenant in catalog.tenants.items()}
        self.correcting = frozenset(
            name for name, tenant in catalog.tenants.items() if tenant.spec.correct_profiles
        )
        self.rules: dict[CompiledNotification, Mapping[Stage, Rules]] = {
            notification: bind(notification, order)
            for tenant in catalog.tenants.values()
            for notification in tenant.notifications.values()
        }

    def defaults_for(self, tenant: str) -> TenantDefaults:
        """Return a tenant's defaults; none of one that is not in the catalog."""
        return self.defaults.get(tenant, NO_DEFAULTS)

    def version_of(self, tenant: str) -> str:
        """Return the version of the catalog that decides for a tenant: outcomes carry it."""
        return self._versions.get(tenant, self.version)
