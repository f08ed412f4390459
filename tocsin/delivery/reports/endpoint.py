"""An endpoint: where a tenant's delivery reports go, and which outcomes it wants."""

from typing import Final, NamedTuple

from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Status

DEFAULT_STATUSES: Final = frozenset(Status) - {
    Status.ADMITTED,
    Status.HELD,
    Status.MERGED,
    Status.RETRYING,
    Status.FINISHED,
    Status.UNBLOCKED,
}
"""What became of a notification, without the steps on its way."""
GIVE_UP_MS: Final = 24 * 3_600_000
"""An endpoint that has taken nothing for this long is switched off, unless it says otherwise."""


class Endpoint(NamedTuple):
    """One endpoint of a tenant.

    Attributes:
        tenant: whose outcomes it gets.
        name: its name among the tenant's endpoints.
        url: where reports are posted.
        secrets: each signs every report; during a rotation there are two.
        statuses: outcomes of these statuses are reported.
        notifications: of these notifications only; empty for all.
        give_up_ms: it is switched off once it has taken nothing for this long.
    """

    tenant: str
    name: str
    url: str
    secrets: tuple[bytes, ...]
    statuses: frozenset[str] = frozenset(DEFAULT_STATUSES)
    notifications: frozenset[str] = frozenset()
    give_up_ms: int = GIVE_UP_MS

    @property
    def key(self) -> str:
        """Name it among those of all tenants; a tenant's name has no `/`."""
        return f"{self.tenant}/{self.name}"

    def wants(self, outcome: Outcome) -> bool:
        """Tell whether it gets a report of an outcome."""
        return (
            outcome.tenant == self.tenant
            and outcome.status in self.statuses
            and (not self.notifications or outcome.notification in self.notifications)
        )
