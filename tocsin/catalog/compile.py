"""Compiles notifications: all of a tenant's notification that depends on no event and no user."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple, TypedDict

import msgspec

from tocsin.catalog import counting
from tocsin.catalog.caps import Cap, Counter
from tocsin.catalog.compiled import CompiledChannel, CompiledNotification, CompiledStep, CompiledTenant
from tocsin.catalog.counted import bits_of
from tocsin.catalog.defaults import DefaultOff, NotificationDefaults
from tocsin.catalog.digests import CompiledDigest, compile_digest
from tocsin.catalog.expressions import Expression
from tocsin.catalog.schedule import CompiledAt, compile_at
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.catalog.variants import compile_variants
from tocsin.model import ids, switches
from tocsin.model.engagement import LEVELS, Level
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Status

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
    keeps = _dedup_windows(own)
    exact: dict[str, tuple[str, ...]] = {}
    prefixes: list[tuple[str, str]] = []
    for key, notice in own.items():
        if notice.on.type.endswith("*"):
            prefixes.append((notice.on.type[:-1], key))
        else:
            exact[notice.on.type] = (*exact.get(notice.on.type, ()), key)
    compiled = {
        key: _compile(_Source(name, version, spec, key, notice, caps[key], counters, keeps))
        for key, notice in own.items()
    }
    return CompiledTenant(name, version, spec, compiled, exact, tuple(prefixes))


def _dedup_scope(name: str, notice: NotificationSpec) -> str:
    """Name the notifications that share their dedup keys. No notification has a colon in its name."""
    scope = notice.dedup.scope if notice.dedup else "notification"
    return {"notification": name, "category": f"category:{notice.category}", "user": "user:"}[scope]


def _dedup_windows(notices: Mapping[str, NotificationSpec]) -> dict[str, int]:
    """List the longest window of each dedup scope: so long any notification may ask for a key."""
    windows: dict[str, int] = {}
    for name, notice in notices.items():
        scope = _dedup_scope(name, notice)
        windows[scope] = max(windows.get(scope, 0), notice.dedup.window_ms if notice.dedup else 0)
    return windows


class _Source(NamedTuple):
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


class _Keys(TypedDict):
    when: Expression | None
    dedup_key: Expression | None
    dedup_window_ms: int
    dedup_scope: str
    dedup_keep_ms: int
    collapse_key: Expression | None
    cancel_key: Expression | None
    at: CompiledAt | None
    digest: CompiledDigest | None


class _Counting(TypedDict):
    caps: tuple[Cap, ...]
    counters: tuple[Counter, ...]
    is_limited: bool
    counted_on: int


class _Times(TypedDict):
    delay_ms: int
    expires_ms: int
    send_window: tuple[int, int] | None
    snooze_drops: bool


class _Switches(TypedDict):
    required: bool
    inactive: bool
    off_notification: str
    off_category: str
    off_by_default: tuple[DefaultOff, ...]


class _Later(TypedDict):
    steps: tuple[CompiledStep, ...]
    sequence: tuple[int, Level] | None
    stop_when_seen: bool
    tracked: bool


def _compile(source: _Source) -> CompiledNotification:
    name, notice = source.name, source.notice
    channels = tuple(_compile_channel(source, use.channel, _compiled(use.when)) for use in notice.channels)
    keys, later = _keys(source), _later(source)
    message, outcome = _message(source), _outcome(source)
    digest_template = notice.digest.template if notice.digest else ""
    return CompiledNotification(
        name=name,
        category=notice.category,
        priority=notice.priority,
        critical=notice.priority == "critical",
        channels=channels,
        needs=_needs(keys, channels),
        spelled_head=ids.spelled("n", source.tenant),
        spelled_tail=ids.spelled(name),
        message=message,
        outcome=outcome,
        digest_template=digest_template or notice.template or name,
        variants=compile_variants(notice.variants, message, outcome, digest_template),
        has_conditional_channels=any(channel.when is not None for channel in channels),
        attachments=tuple(notice.attachments),
        **keys,
        **later,
        **_counting(source, (*channels, *(step.channel for step in later["steps"]))),
        **_times(source),
        **_switches(source),
    )


def _keys(source: _Source) -> _Keys:
    """Compile what reads the event: its condition and keys, its time, and its digest."""
    spec, notice = source.spec, source.notice
    scope = _dedup_scope(source.name, notice)
    return {
        "when": _compiled(notice.on.when),
        "dedup_key": _compiled(notice.dedup.key) if notice.dedup else None,
        "dedup_window_ms": notice.dedup.window_ms if notice.dedup else 0,
        "dedup_scope": scope,
        "dedup_keep_ms": source.keeps.get(scope, 0),
        "collapse_key": _compiled(notice.collapse_key),
        "cancel_key": _compiled(notice.cancel_key),
        "at": compile_at(notice.at, spec.timezone) if notice.at else None,
        "digest": compile_digest(notice.digest),
    }


def _needs(keys: _Keys, channels: Iterable[CompiledChannel]) -> frozenset[str]:
    """List what the expressions of a notification read."""
    at, digest = keys["at"], keys["digest"]
    expressions = [keys["when"], keys["dedup_key"], keys["collapse_key"], keys["cancel_key"]]
    expressions += [channel.when for channel in channels]
    expressions += [at.expression] if at else []
    expressions += digest.expressions if digest else ()
    return frozenset().union(*(expression.needs for expression in expressions if expression))


def _counting(source: _Source, channels: Iterable[CompiledChannel]) -> _Counting:
    notice = source.notice
    own = counting.counted(
        source.name, notice, source.spec.categories[notice.category].marketing, source.counters
    )
    scopes = [(cap, counting.scope(cap.counter, cap.period)) for cap in source.caps]
    return {
        "caps": tuple(cap for cap, scope in scopes if not scope.startswith("channel:")),
        "counters": own,
        "is_limited": bool(own) or any(channel.counters for channel in channels),
        "counted_on": bits_of(own),
    }


def _times(source: _Source) -> _Times:
    notice = source.notice
    window = notice.send_window
    return {
        "delay_ms": notice.delay_ms or 0,
        "expires_ms": notice.expires_ms or 0,
        "send_window": (window.start_min, window.end_min) if window else None,
        "snooze_drops": source.spec.snooze == "drop",
    }


def _switches(source: _Source) -> _Switches:
    spec, name, notice = source.spec, source.name, source.notice
    defaults = NotificationDefaults(spec.preferences, name, notice.category)
    return {
        "required": spec.categories[notice.category].required,
        "inactive": spec.status == "inactive",
        "off_notification": switches.notification_key(name),
        "off_category": switches.category_key(notice.category),
        "off_by_default": defaults.of_all(_all_channels(notice)),
    }


def _later(source: _Source) -> _Later:
    """Compile the later steps, one for each channel, and what receipts decide."""
    notice = source.notice
    steps = tuple(
        CompiledStep(step.after_ms, LEVELS[step.unless], _compile_channel(source, channel, None))
        for step in sorted(notice.escalate, key=lambda step: step.after_ms)
        for channel in step.channels
    )
    sequence = notice.sequence
    return {
        "steps": steps,
        "sequence": (sequence.every_ms, LEVELS[sequence.until]) if sequence else None,
        "stop_when_seen": notice.stop_when_seen,
        "tracked": bool(notice.escalate or sequence or notice.stop_when_seen),
    }


def _message(source: _Source) -> Message:
    notice = source.notice
    return Message(
        message_id="",
        notification_id="",
        tenant=source.tenant,
        user="",
        channel="",
        target=Target(""),
        notification=source.name,
        category=notice.category,
        template=notice.template or source.name,
        data=msgspec.Raw(),
        locale="",
        priority=notice.priority,
        catalog_version=source.version,
        event_id="",
        event_source="",
        event_type="",
        event_time_ms=0,
        received_ms=0,
        decided_ms=0,
        origin=Origin("", 0, 0),
    )


def _outcome(source: _Source) -> Outcome:
    notice = source.notice
    return Outcome(
        outcome_id="",
        status=Status.ADMITTED.value,
        tenant=source.tenant,
        notification=source.name,
        category=notice.category,
        priority=notice.priority,
        catalog_version=source.version,
        at_ms=0,
    )


def _compile_channel(source: _Source, channel: str, when: Expression | None) -> CompiledChannel:
    spec, name, notice = source.spec, source.name, source.notice
    counter = f"channel:{channel}"
    window = spec.windows.get(channel)
    counters = tuple(counting.named(counter, source.counters))
    passes = window is None or (notice.priority == "critical" and window.critical == "passes")
    return CompiledChannel(
        name=channel,
        when=when,
        off_channel=switches.channel_key(channel),
        off_category=switches.category_key(notice.category, channel),
        off_notification=switches.notification_key(name, channel),
        off_by_default=NotificationDefaults(spec.preferences, name, notice.category).of_channel(channel),
        caps=tuple(cap for cap in source.caps if counting.scope(cap.counter, cap.period) == counter),
        counters=counters,
        spelled=ids.spelled(channel),
        window=None if window is None or passes else (window.start_min, window.end_min),
        failover_ms=spec.failover_after.get(channel, 0),
        accounts=len(spec.providers.get(channel, ())),
        counted_on=bits_of(counters),
    )


def _all_channels(notice: NotificationSpec) -> list[str]:
    return [use.channel for use in notice.channels] + [
        channel for step in notice.escalate for channel in step.channels
    ]


def _compiled(source: str | None) -> Expression | None:
    return None if source is None else _expression(source)


@lru_cache(maxsize=4_096)
def _expression(source: str) -> Expression:
    """Compile an expression once: a notification whose keys are written alike evaluates it once."""
    return Expression(source)
