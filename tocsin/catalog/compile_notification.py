"""Compiles a notification: all of it that depends on no event and no user."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TypedDict

from tocsin.catalog import counting
from tocsin.catalog.blanks import blank_message, blank_outcome
from tocsin.catalog.caps import Cap, Counter
from tocsin.catalog.compile_channel import all_channels, compile_channel
from tocsin.catalog.compile_input import CompileInput
from tocsin.catalog.compiled import CompiledChannel, CompiledNotification, CompiledStep
from tocsin.catalog.counted import bits_of
from tocsin.catalog.dedup_scopes import dedup_scope
from tocsin.catalog.defaults import DefaultOff, NotificationDefaults
from tocsin.catalog.digests import CompiledDigest, compile_digest
from tocsin.catalog.expressions import Expression
from tocsin.catalog.schedule import CompiledAt, compile_at
from tocsin.catalog.variants import compile_variants
from tocsin.model import ids, switches
from tocsin.model.engagement import LEVELS, Level


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


def compile_notification(source: CompileInput) -> CompiledNotification:
    """Compile one notification. Its spec was checked: categories exist, expressions compile."""
    name, notice = source.name, source.notice
    channels = tuple(compile_channel(source, use.channel, _compiled(use.when)) for use in notice.channels)
    keys, later = _keys(source), _later(source)
    message, outcome = blank_message(source), blank_outcome(source)
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


def _keys(source: CompileInput) -> _Keys:
    """Compile what reads the event: its condition and keys, its time, and its digest."""
    spec, notice = source.spec, source.notice
    scope = dedup_scope(source.name, notice)
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


def _counting(source: CompileInput, channels: Iterable[CompiledChannel]) -> _Counting:
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


def _times(source: CompileInput) -> _Times:
    notice = source.notice
    window = notice.send_window
    return {
        "delay_ms": notice.delay_ms or 0,
        "expires_ms": notice.expires_ms or 0,
        "send_window": (window.start_min, window.end_min) if window else None,
        "snooze_drops": source.spec.snooze == "drop",
    }


def _switches(source: CompileInput) -> _Switches:
    spec, name, notice = source.spec, source.name, source.notice
    defaults = NotificationDefaults(spec.preferences, name, notice.category)
    return {
        "required": spec.categories[notice.category].required,
        "inactive": spec.status == "inactive",
        "off_notification": switches.notification_key(name),
        "off_category": switches.category_key(notice.category),
        "off_by_default": defaults.of_all(all_channels(notice)),
    }


def _later(source: CompileInput) -> _Later:
    """Compile the later steps, one for each channel, and what receipts decide."""
    notice = source.notice
    steps = tuple(
        CompiledStep(step.after_ms, LEVELS[step.unless], compile_channel(source, channel, None))
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


def _compiled(source: str | None) -> Expression | None:
    return None if source is None else _expression(source)


@lru_cache(maxsize=4_096)
def _expression(source: str) -> Expression:
    """Compile an expression once: a notification whose keys are written alike evaluates it once."""
    return Expression(source)
