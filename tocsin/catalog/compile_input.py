"""Holds one notification as the catalog has it, with all that its compilation reads."""

from collections.abc import Mapping
from typing import NamedTuple

from tocsin.catalog.caps import Cap, Counter
from tocsin.catalog.spec import NotificationSpec, TenantSpec


class CompileInput(NamedTuple):
    """A notification of a tenant as the catalog has it, and what all of the tenant's decide together.

    `keeps` are the longest windows of the dedup scopes.
    """

    tenant: str
    version: str
    spec: TenantSpec
    name: str
    notice: NotificationSpec
    caps: list[Cap]
    counters: dict[str, Counter]
    keeps: Mapping[str, int]
