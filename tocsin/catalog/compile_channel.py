"""Compiles a channel of a notification."""

from tocsin.catalog import counting
from tocsin.catalog.compile_input import CompileInput
from tocsin.catalog.compiled import CompiledChannel
from tocsin.catalog.counted import bits_of
from tocsin.catalog.defaults import NotificationDefaults
from tocsin.catalog.expressions import Expression
from tocsin.catalog.spec import NotificationSpec
from tocsin.model import ids, switches


def compile_channel(source: CompileInput, channel: str, when: Expression | None) -> CompiledChannel:
    """Compile one channel of a notification; `when` is its condition."""
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


def all_channels(notice: NotificationSpec) -> list[str]:
    """List the channels of a notification, then those of its escalation."""
    return [use.channel for use in notice.channels] + [
        channel for step in notice.escalate for channel in step.channels
    ]
