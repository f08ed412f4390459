"""What notifications are counted on: the limits that each meets, and the counters that these read."""

from collections.abc import Iterable, Iterator

from tocsin.catalog.caps import Cap, Counter
from tocsin.catalog.limit_spec import DEFAULT_LIMITS, OVERFLOWS, Limit
from tocsin.catalog.spec import NotificationSpec, TenantSpec


def counter_name(limit: Limit, notification: str, category: str) -> str:
    """Name the counter a limit reads; limits of one counter share it. A calendar's begins with the period."""
    about = {"notification": notification, "category": category, "channel": limit.channel}.get(limit.scope)
    name = limit.scope if about is None else f"{limit.scope}:{about}"
    return f"{limit.calendar}:{name}" if limit.calendar else name


def caps_of(spec: TenantSpec, name: str, notice: NotificationSpec) -> list[Cap]:
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


def counters_of(caps: Iterable[Cap]) -> dict[str, Counter]:
    """What each counter must keep for all caps of the tenant that read it."""
    counters: dict[str, Counter] = {}
    for cap in caps:
        known = counters.get(cap.counter, Counter(cap.counter, 0, 0))
        counters[cap.counter] = Counter(
            cap.counter, max(known.keep, cap.max), max(known.window_ms, cap.window_ms), cap.period
        )
    return counters


def counted(
    name: str, notice: NotificationSpec, marketing: bool, counters: dict[str, Counter]
) -> tuple[Counter, ...]:
    """List the counters an admitted notification is counted on: only those that some cap reads.

    Scope `user` counts all that is not critical.
    """
    names = [f"notification:{name}", f"category:{notice.category}"]
    names += ["marketing"] if marketing else []
    names += ["user"] if notice.priority != "critical" else []
    return tuple(counter for key in names for counter in named(key, counters))


def named(name: str, counters: dict[str, Counter]) -> Iterator[Counter]:
    """List the counters of one scope: that of rolling windows, and one for each calendar period."""
    return (counter for counter in counters.values() if scope(counter.name, counter.period) == name)


def scope(counter: str, period: str) -> str:
    """Return the name of a counter without its calendar period."""
    return counter.removeprefix(f"{period}:") if period else counter
