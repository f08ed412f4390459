"""Compiles notifications: all of a tenant's notification that depends on no event and no user."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tocsin.catalog.caps import Cap, Counter
from tocsin.catalog.defaults import DefaultOff, NotificationDefaults
from tocsin.catalog.digests import CompiledDigest, compile_digest
from tocsin.catalog.expressions import Expression
from tocsin.catalog.limit_spec import DEFAULT_LIMITS, OVERFLOWS, Limit
from tocsin.catalog.schedule import CompiledAt, compile_at
from tocsin.catalog.schedules import CompiledSchedule
from tocsin.catalog.spec import NotificationSpec, TenantSpec
from tocsin.catalog.variants import CompiledVariant, compile_variants
from tocsin.model import ids, switches
from tocsin.model.engagement import LEVELS, Level
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.model.outcome import Outcome
from tocsin.model.statuses import Status


class CompiledChannel(msgspec.Struct, frozen=True, gc=False):
    """One channel of a notification, with the keys of its switches, its caps, and its part of an id.

    `window` are the minutes of the day from which and until which it may be used; None for any time.
    `off_by_default` is what the tenant's defaults switch off on it.
    """

    name: str
    when: Expression | None
    off_channel: str
    off_category: str
    off_notification: str
    off_by_default: tuple[DefaultOff, ...]
    caps: tuple[Cap, ...]
    counters: tuple[Counter, ...]
    spelled: str
    window: tuple[int, int] | None = None


class CompiledStep(msgspec.Struct, frozen=True, gc=False):
    """One channel that goes out later, unless a receipt of level `unless` or higher comes before."""

    after_ms: int
    unless: Level
    channel: CompiledChannel


class CompiledNotification(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One notification of one tenant. Equal only to itself, so that it is a cheap key.

    Attributes:
        dedup_scope: names the notifications that share their keys; `dedup_keep_ms` is their longest window.
        needs: which of `data`, `event`, `user` and `now` its expressions read.
        caps: limits that decide before routing, in the order of `OVERFLOWS`; none for a critical one.
        counters: what an admission is counted on; of a critical one not `user`.
        is_limited: whether any counter of it or of its channels counts its admissions.
        snooze_drops: a snooze suppresses it; otherwise it is held until the snooze ends.
        off_by_default: what the tenant's defaults switch off of it as a whole.
        inactive: whether its tenant is: then nothing of it is sent.
        spelled_head: the start of every notification id of it; `spelled_tail` stands before the origin.
        message: what all its messages have in common; `outcome`: what all its outcomes have.
        steps: channels that go out later, in the order of their times.
        sequence: the time between two channels, and the level that ends it; None to send them all at once.
        stop_when_seen: whether what waits is dropped once the user has seen it on one channel.
        tracked: whether receipts decide anything about it.
        digest: what it collects, and until when; None if each is sent by itself.
        digest_template: the template of its digests.
        variants: arms of an experiment; none unless the catalog has some.
        has_conditional_channels: whether any of its channels has a condition.
    """

    name: str
    category: str
    priority: str
    critical: bool
    required: bool
    when: Expression | None
    channels: tuple[CompiledChannel, ...]
    dedup_key: Expression | None
    dedup_window_ms: int
    dedup_scope: str
    dedup_keep_ms: int
    collapse_key: Expression | None
    needs: frozenset[str]
    caps: tuple[Cap, ...]
    counters: tuple[Counter, ...]
    is_limited: bool
    delay_ms: int
    at: CompiledAt | None
    cancel_key: Expression | None
    snooze_drops: bool
    expires_ms: int
    send_window: tuple[int, int] | None
    off_notification: str
    off_category: str
    off_by_default: tuple[DefaultOff, ...]
    inactive: bool
    spelled_head: str
    spelled_tail: str
    message: Message
    outcome: Outcome
    steps: tuple[CompiledStep, ...] = ()
    sequence: tuple[int, Level] | None = None
    stop_when_seen: bool = False
    tracked: bool = False
    digest: CompiledDigest | None = None
    digest_template: str = ""
    variants: tuple[CompiledVariant, ...] = ()
    has_conditional_channels: bool = False

    @property
    def all_channels(self) -> tuple[CompiledChannel, ...]:
        """Return the channels that it uses, at first or later."""
        return (*self.channels, *(step.channel for step in self.steps))

    def channel(self, name: str) -> CompiledChannel | None:
        """Return one of its channels; None if it does not use it."""
        return next((channel for channel in self.all_channels if channel.name == name), None)


class CompiledTenant(msgspec.Struct, frozen=True):
    """A tenant's settings and its notifications, ready to be matched.

    `version` names the catalog that it was compiled from.
    """

    name: str
    version: str
    spec: TenantSpec
    notifications: dict[str, CompiledNotification]
    exact: dict[str, tuple[str, ...]]
    prefixes: tuple[tuple[str, str], ...]
    schedules: Mapping[str, CompiledSchedule] = {}

    def matching(self, event_type: str) -> tuple[CompiledNotification, ...]:
        """Return the notifications that ask for a type, in order; none of an inactive tenant."""
        if self.spec.status == "inactive":
            return ()
        names = {name for prefix, name in self.prefixes if event_type.startswith(prefix)}
        names.update(self.exact.get(event_type, ()))
        return tuple(found for name, found in self.notifications.items() if name in names)


def counter_name(limit: Limit, notification: str, category: str) -> str:
    """Name the counter a limit reads; limits of one counter share it. A calendar's begins with the period."""
    about = {"notification": notification, "category": category, "channel": limit.channel}.get(limit.scope)
    name = limit.scope if about is None else f"{limit.scope}:{about}"
    return f"{limit.calendar}:{name}" if limit.calendar else name


def compile_tenant(
    name: str, spec: TenantSpec, notifications: Mapping[str, NotificationSpec], version: str
) -> CompiledTenant:
    """Compile a tenant's notifications. The specs were checked: categories exist, expressions compile."""
    own = {
        key: notice
        for key, notice in notifications.items()
        if notice.tenants is None or name in notice.tenants
    }
    caps = {key: _caps(spec, key, notice) for key, notice in own.items()}
    counters, keeps = _counters(cap for found in caps.values() for cap in found), _dedup_windows(own)
    exact: dict[str, tuple[str, ...]] = {}
    prefixes: list[tuple[str, str]] = []
    for key, notice in own.items():
        if notice.on.type.endswith("*"):
            prefixes.append((notice.on.type[:-1], key))
        else:
            exact[notice.on.type] = (*exact.get(notice.on.type, ()), key)
    compiled = {
        key: _compile(name, spec, key, notice, caps[key], counters, keeps, version)
        for key, notice in own.items()
    }
    return CompiledTenant(name, version, spec, compiled, exact, tuple(prefixes))


def _caps(spec: TenantSpec, name: str, notice: NotificationSpec) -> list[Cap]:
    """Caps a notification meets: the tenant's, then its own; channel limits of its own channels only."""
    if notice.priority == "critical":
        return []
    tenant_limits = DEFAULT_LIMITS if spec.limits is None else spec.limits
    used = {use.channel for use in notice.channels}.union(*(step.channels for step in notice.escalate))
    marketing = spec.categories[notice.category].marketing
    found = [
        Cap(
            counter_name(limit, name, notice.category),
            limit.max,
            limit.window_ms,
            limit.overflow,
            limit.calendar or "",
        )
        for limit in (*tenant_limits, *notice.limits)
        if (marketing or limit.scope != "marketing") and (limit.channel is None or limit.channel in used)
    ]
    return sorted(dict.fromkeys(found), key=lambda cap: OVERFLOWS.index(cap.overflow))


def _counters(caps: Iterable[Cap]) -> dict[str, Counter]:
    """What each counter must keep for all caps of the tenant that read it."""
    counters: dict[str, Counter] = {}
    for cap in caps:
        known = counters.get(cap.counter, Counter(cap.counter, 0, 0))
        counters[cap.counter] = Counter(
            cap.counter, max(known.keep, cap.max), max(known.window_ms, cap.window_ms), cap.period
        )
    return counters


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


def _compile(
    tenant: str,
    spec: TenantSpec,
    name: str,
    notice: NotificationSpec,
    caps: list[Cap],
    counters: dict[str, Counter],
    keeps: Mapping[str, int],
    version: str,
) -> CompiledNotification:
    category = spec.categories[notice.category]
    critical = notice.priority == "critical"
    defaults = NotificationDefaults(spec.preferences, name, notice.category)
    channels = tuple(
        _compile_channel(use.channel, _compiled(use.when), spec, name, notice, caps, counters)
        for use in notice.channels
    )
    steps = _steps(spec, name, notice, caps, counters)
    counted = _counted(name, notice, category.marketing, counters)
    message, outcome = _message(tenant, name, notice, version), _outcome(tenant, name, notice, version)
    digest_template = notice.digest.template if notice.digest else ""
    when, collapse = _compiled(notice.on.when), _compiled(notice.collapse_key)
    key = _compiled(notice.dedup.key) if notice.dedup else None
    at, cancel = compile_at(notice.at, spec.timezone) if notice.at else None, _compiled(notice.cancel_key)
    expressions = [when, collapse, key, cancel, *(channel.when for channel in channels)]
    expressions += [at.expression] if at else []
    digest = compile_digest(notice.digest)
    expressions += digest.expressions if digest else ()
    return CompiledNotification(
        name=name,
        category=notice.category,
        priority=notice.priority,
        critical=critical,
        required=category.required,
        when=when,
        channels=channels,
        dedup_key=key,
        dedup_window_ms=notice.dedup.window_ms if notice.dedup else 0,
        dedup_scope=_dedup_scope(name, notice),
        dedup_keep_ms=keeps.get(_dedup_scope(name, notice), 0),
        collapse_key=collapse,
        needs=frozenset().union(*(expression.needs for expression in expressions if expression)),
        caps=tuple(cap for cap in caps if not _scope(cap.counter, cap.period).startswith("channel:")),
        counters=counted,
        is_limited=bool(counted)
        or any(channel.counters for channel in (*channels, *(step.channel for step in steps))),
        delay_ms=notice.delay_ms or 0,
        at=at,
        cancel_key=cancel,
        snooze_drops=spec.snooze == "drop",
        expires_ms=notice.expires_ms or 0,
        send_window=(notice.send_window.start_min, notice.send_window.end_min)
        if notice.send_window
        else None,
        off_notification=switches.notification_key(name),
        off_category=switches.category_key(notice.category),
        off_by_default=defaults.of_all(_all_channels(notice)),
        inactive=spec.status == "inactive",
        spelled_head=ids.spelled("n", tenant),
        spelled_tail=ids.spelled(name),
        message=message,
        outcome=outcome,
        steps=steps,
        sequence=(notice.sequence.every_ms, LEVELS[notice.sequence.until]) if notice.sequence else None,
        stop_when_seen=notice.stop_when_seen,
        tracked=bool(notice.escalate or notice.sequence or notice.stop_when_seen),
        digest=digest,
        digest_template=digest_template or notice.template or name,
        variants=compile_variants(notice.variants, message, outcome, digest_template),
        has_conditional_channels=any(channel.when is not None for channel in channels),
    )


def _steps(
    spec: TenantSpec, name: str, notice: NotificationSpec, caps: list[Cap], counters: dict[str, Counter]
) -> tuple[CompiledStep, ...]:
    """Compile the later steps, one for each channel."""
    return tuple(
        CompiledStep(
            step.after_ms,
            LEVELS[step.unless],
            _compile_channel(channel, None, spec, name, notice, caps, counters),
        )
        for step in sorted(notice.escalate, key=lambda step: step.after_ms)
        for channel in step.channels
    )


def _message(tenant: str, name: str, notice: NotificationSpec, version: str) -> Message:
    return Message(
        message_id="",
        notification_id="",
        tenant=tenant,
        user="",
        channel="",
        target=Target(""),
        notification=name,
        category=notice.category,
        template=notice.template or name,
        data=msgspec.Raw(),
        locale="",
        priority=notice.priority,
        catalog_version=version,
        event_id="",
        event_source="",
        event_type="",
        event_time_ms=0,
        received_ms=0,
        decided_ms=0,
        origin=Origin("", 0, 0),
    )


def _outcome(tenant: str, name: str, notice: NotificationSpec, version: str) -> Outcome:
    return Outcome(
        outcome_id="",
        status=Status.ADMITTED.value,
        tenant=tenant,
        notification=name,
        category=notice.category,
        priority=notice.priority,
        catalog_version=version,
        at_ms=0,
    )


def _counted(
    name: str, notice: NotificationSpec, marketing: bool, counters: dict[str, Counter]
) -> tuple[Counter, ...]:
    """List the counters an admitted notification is counted on: only those that some cap reads.

    Scope `user` counts all that is not critical.
    """
    names = [f"notification:{name}", f"category:{notice.category}"]
    names += ["marketing"] if marketing else []
    names += ["user"] if notice.priority != "critical" else []
    return tuple(counter for key in names for counter in _named(key, counters))


def _named(name: str, counters: dict[str, Counter]) -> Iterator[Counter]:
    """List the counters of one scope: that of rolling windows, and one for each calendar period."""
    return (counter for counter in counters.values() if _scope(counter.name, counter.period) == name)


def _scope(counter: str, period: str) -> str:
    """Return the name of a counter without its calendar period."""
    return counter.removeprefix(f"{period}:") if period else counter


def _compile_channel(
    channel: str,
    when: Expression | None,
    spec: TenantSpec,
    name: str,
    notice: NotificationSpec,
    caps: list[Cap],
    counters: dict[str, Counter],
) -> CompiledChannel:
    counter = f"channel:{channel}"
    window = spec.windows.get(channel)
    passes = window is None or (notice.priority == "critical" and window.critical == "passes")
    return CompiledChannel(
        name=channel,
        when=when,
        off_channel=switches.channel_key(channel),
        off_category=switches.category_key(notice.category, channel),
        off_notification=switches.notification_key(name, channel),
        off_by_default=NotificationDefaults(spec.preferences, name, notice.category).of_channel(channel),
        caps=tuple(cap for cap in caps if _scope(cap.counter, cap.period) == counter),
        counters=tuple(_named(counter, counters)),
        spelled=ids.spelled(channel),
        window=None if window is None or passes else (window.start_min, window.end_min),
    )


def _all_channels(notice: NotificationSpec) -> list[str]:
    return [use.channel for use in notice.channels] + [
        channel for step in notice.escalate for channel in step.channels
    ]


def _compiled(source: str | None) -> Expression | None:
    return None if source is None else Expression(source)
