"""A loaded catalog: which notifications an event means, and what holds for each tenant."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tocsin.catalog.compile import CompiledNotification, CompiledTenant
from tocsin.catalog.matching import Match, fixed
from tocsin.catalog.plain_matching import Matcher, matcher
from tocsin.catalog.sources import SourceSpec
from tocsin.catalog.spec import TenantSpec
from tocsin.model.event import CONTROL, Event
from tocsin.model.outcome import Scalar
from tocsin.model.statuses import Reason

_TYPES_CACHED = 4_096
_NAMES_TOLD = 5


class Candidates(NamedTuple):
    """The notifications of one tenant and event type.

    `needs` is what their expressions read; `fixed` are all of them, ready, if they have no expression.
    `matchers` match each of them with one call, if their expressions are plain.
    `none` is why an event ends where there are none, or where no condition holds; `detail` goes with it.
    """

    notifications: tuple[CompiledNotification, ...]
    needs: frozenset[str]
    fixed: tuple[Match, ...]
    none: Reason = Reason.NO_MATCH
    detail: dict[str, Scalar] | None = None
    matchers: tuple[Matcher, ...] = ()


class Catalog:
    """Holds a loaded catalog. Nothing in it changes.

    Attributes:
        version: names its content. A tenant that keeps an older version has that in `CompiledTenant.version`.
        sources: its declared topics.
        faults: tenant -> its mistakes, one a line. Unless it keeps an older version, it is not in `tenants`.
    """

    def __init__(
        self,
        version: str,
        tenants: Mapping[str, CompiledTenant],
        declared: Mapping[str, SourceSpec] | None = None,
        faults: Mapping[str, str] | None = None,
    ) -> None:
        self.version = version
        self.sources: Mapping[str, SourceSpec] = dict(declared or {})
        self.faults: Mapping[str, str] = dict(faults or {})
        self._tenants = dict(tenants)
        self._candidates: dict[tuple[str, str], Candidates | None] = {}
        self._compiled: dict[CompiledNotification, Matcher | None] = {}

    @property
    def tenants(self) -> Mapping[str, CompiledTenant]:
        """Return every tenant by name."""
        return self._tenants

    def tenant(self, name: str) -> TenantSpec | None:
        """Return a tenant's settings: senders, branding, providers, locale."""
        found = self._tenants.get(name)
        return found.spec if found else None

    def answering(self, event: Event) -> Candidates | None:
        """Return the notifications that may answer an event; None for an unknown tenant."""
        asked = event.asked
        if asked is None or not asked.notification or event.type.startswith(CONTROL):
            return self.candidates(event.tenant, event.type)
        return self.named(event.tenant, asked.notification)

    def candidates(self, tenant: str, event_type: str) -> Candidates | None:
        """Return notifications that ask for a type, in the catalog's order; None for an unknown tenant."""
        try:
            return self._candidates[tenant, event_type]
        except KeyError:
            return self._find(tenant, event_type)

    def named(self, tenant: str, notification: str) -> Candidates | None:
        """Return the one notification that an event asks for; None for an unknown tenant."""
        found = self._tenants.get(tenant)
        if found is None:
            return None
        if found.spec.status == "inactive":
            return Candidates((), frozenset(), (), Reason.TENANT_INACTIVE)
        one = found.notifications.get(notification)
        if one is None:
            return Candidates((), frozenset(), (), Reason.UNKNOWN_NOTIFICATION, {"asked": notification})
        return Candidates((one,), one.needs, ())

    def notification(self, tenant: str, notification: str) -> CompiledNotification | None:
        """Return one notification of a tenant."""
        found = self._tenants.get(tenant)
        return found.notifications.get(notification) if found else None

    def _find(self, tenant: str, event_type: str) -> Candidates | None:
        found = self._tenants.get(tenant)
        candidates = None
        if found is not None:
            able = () if event_type.startswith(CONTROL) else found.matching(event_type)
            ready = tuple(match for one in able if (match := fixed(one)) is not None)
            needs = frozenset().union(*(one.needs for one in able))
            none = Reason.TENANT_INACTIVE if found.spec.status == "inactive" else Reason.NO_MATCH
            fixed_all = ready if len(ready) == len(able) else ()
            detail: dict[str, Scalar] | None = {"conditions_of": _listed(able)} if able else None
            candidates = Candidates(able, needs, fixed_all, none, detail, self._matchers(able))
        if len(self._candidates) >= _TYPES_CACHED:
            self._candidates.clear()  # types come from outside: a flood of invented ones must not pile up
        self._candidates[tenant, event_type] = candidates
        return candidates

    def _matchers(self, notifications: Sequence[CompiledNotification]) -> tuple[Matcher, ...]:
        """Return a matcher for each notification, compiled once; none if one of them has none."""
        known = self._compiled
        for one in notifications:
            if one not in known:
                known[one] = matcher(one)
        found = [matches for one in notifications if (matches := known[one]) is not None]
        return tuple(found) if len(found) == len(notifications) else ()


def _listed(notifications: Sequence[CompiledNotification]) -> str:
    """Name notifications, the first few of many."""
    names = [one.name for one in notifications[:_NAMES_TOLD]]
    return ", ".join([*names, "…"] if len(notifications) > _NAMES_TOLD else names)
