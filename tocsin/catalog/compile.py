"""Compiles the notifications of a tenant, and finds them by the type of an event."""

from collections.abc import Mapping

from tocsin.catalog import counting
from tocsin.catalog.compile_input import CompileInput
from tocsin.catalog.compile_notification import compile_notification
from tocsin.catalog.compiled import CompiledChannel, CompiledNotification, CompiledStep, CompiledTenant
from tocsin.catalog.dedup_scopes import dedup_windows
from tocsin.catalog.spec import NotificationSpec, TenantSpec

__all__ = ["CompiledChannel", "CompiledNotification", "CompiledStep", "CompiledTenant", "compile_tenant"]


def compile_tenant(
    name: str, spec: TenantSpec, notifications: Mapping[str, NotificationSpec], version: str
) -> CompiledTenant:
    """Compile a tenant's notifications. The specs were checked: categories exist, expressions compile."""
    own = {
        key: notice
        for key, notice in notifications.items()
        if notice.tenants is None or name in notice.tenants
    }
    caps = {key: counting.caps_of(spec, key, notice) for key, notice in own.items()}
    counters = counting.counters_of(cap for found in caps.values() for cap in found)
    keeps = dedup_windows(own)
    exact: dict[str, tuple[str, ...]] = {}
    prefixes: list[tuple[str, str]] = []
    for key, notice in own.items():
        if notice.on.type.endswith("*"):
            prefixes.append((notice.on.type[:-1], key))
        else:
            exact[notice.on.type] = (*exact.get(notice.on.type, ()), key)
    compiled = {
        key: compile_notification(CompileInput(name, version, spec, key, notice, caps[key], counters, keeps))
        for key, notice in own.items()
    }
    return CompiledTenant(name, version, spec, compiled, exact, tuple(prefixes))
