"""The rules and their order. This table is the only place that has the order.

For an event or a due timer, the rules of level `NOTIFICATION` are asked once, those of `CHANNEL` once a
channel, and those of `TARGET` once a contact point. A part is one channel of a notification; its notification
was counted, so no limit of it is asked. A returned message has one channel and one target, so it is asked all
its rules in one go, in the order of the table: a message that nobody wants does not wait first.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from tocsin.catalog.compile import CompiledChannel, CompiledNotification
from tocsin.decision.evaluation import ALL_FACTS, BLOCKED, QUIET, TIMED, Rule, Stage
from tocsin.decision.rules.active_tenant import active_tenant
from tocsin.decision.rules.backoff import backoff
from tocsin.decision.rules.cancelled import cancelled
from tocsin.decision.rules.channel_window import channel_window
from tocsin.decision.rules.contact_points import usable
from tocsin.decision.rules.digest import digest
from tocsin.decision.rules.duplicate_key import duplicate_key
from tocsin.decision.rules.expiry import expiry
from tocsin.decision.rules.holdout import holdout
from tocsin.decision.rules.limits import channel_limits, notification_limits
from tocsin.decision.rules.preferences import channel_preferences, notification_preferences
from tocsin.decision.rules.quiet_hours import quiet_hours
from tocsin.decision.rules.schedule import schedule
from tocsin.decision.rules.seen import answered, seen
from tocsin.decision.rules.snooze import snooze

EVENT, TIMER, DIGEST, PART, RETURNED = Stage
ALL: Final = frozenset(Stage)
NEW: Final = frozenset({EVENT, TIMER})
"""Stages at which a notification of an event is not admitted yet."""
WHOLE: Final = NEW | {DIGEST}
"""Stages at which no channel was decided before."""
BEFORE_ADMISSION: Final = WHOLE | {PART}
"""Stages at which a channel is not admitted yet."""


class Level(StrEnum):
    """What a rule is asked about."""

    NOTIFICATION = "notification"
    CHANNEL = "channel"
    TARGET = "target"


def _always(notification: CompiledNotification) -> bool:
    return True


def _whatever(notification: CompiledNotification) -> int:
    return 0


def _everywhere(channel: CompiledChannel) -> bool:
    return True


class Entry(NamedTuple):
    """One rule in the order.

    Attributes:
        rule: reads an evaluation and returns a verdict.
        level: what it is asked about. A rule of a channel may hold that channel as a part. A rule of a target
            does not hold.
        stages: the stages at which it is asked.
        applies: whether it can say anything but pass about a notification. It is asked once a catalog.
        given: the facts (`tocsin.decision.evaluation`) of which one must hold, so that it can say anything
            but pass about a notification of an event, or about a contact point; 0 for none. It is asked once
            a catalog.
        on: whether it can say anything but pass about a channel, for a rule of a channel. It is asked once a
            catalog.
    """

    rule: Rule
    level: Level
    stages: frozenset[Stage] = ALL
    applies: Callable[[CompiledNotification], bool] = _always
    given: Callable[[CompiledNotification], int] = _whatever
    on: Callable[[CompiledChannel], bool] = _everywhere


ORDER: Final[tuple[Entry, ...]] = (
    Entry(active_tenant, Level.NOTIFICATION, applies=lambda n: n.inactive),
    Entry(duplicate_key, Level.NOTIFICATION, frozenset({EVENT}), lambda n: n.dedup_key is not None),
    Entry(answered, Level.NOTIFICATION, frozenset({PART}), lambda n: n.tracked),
    Entry(cancelled, Level.NOTIFICATION, frozenset({RETURNED})),
    Entry(seen, Level.NOTIFICATION, frozenset({PART, RETURNED}), lambda n: n.stop_when_seen),
    Entry(expiry, Level.NOTIFICATION, given=lambda _: TIMED),
    Entry(schedule, Level.NOTIFICATION, NEW, given=lambda _: TIMED),
    Entry(notification_preferences, Level.NOTIFICATION, applies=lambda n: not n.required),
    Entry(
        digest,
        Level.NOTIFICATION,
        NEW,
        lambda n: n.digest is not None and not n.digest.overflow_only and not n.critical,
    ),
    Entry(notification_limits, Level.NOTIFICATION, WHOLE, lambda n: bool(n.caps)),
    Entry(channel_preferences, Level.CHANNEL, applies=lambda n: not n.required),
    Entry(
        channel_limits,
        Level.CHANNEL,
        BEFORE_ADMISSION,
        lambda n: any(one.caps for one in n.all_channels),
        on=lambda channel: bool(channel.caps),
    ),
    Entry(usable, Level.TARGET, given=lambda _: BLOCKED),
    Entry(backoff, Level.NOTIFICATION, frozenset({RETURNED})),
    Entry(
        channel_window,
        Level.CHANNEL,
        applies=lambda n: any(one.window for one in n.all_channels),
        on=lambda channel: channel.window is not None,
    ),
    Entry(
        snooze, Level.NOTIFICATION, applies=lambda n: not n.critical and not n.required, given=lambda _: TIMED
    ),
    Entry(
        quiet_hours,
        Level.NOTIFICATION,
        applies=lambda n: not n.critical or n.send_window is not None,
        given=lambda n: QUIET if n.send_window is None else 0,
    ),
    Entry(holdout, Level.NOTIFICATION, WHOLE, lambda n: any(one.holdout for one in n.variants)),
)


class Rules(NamedTuple):
    """The rules that can apply to one notification at one stage, in order.

    At stage `RETURNED` all are in `whole`, for a message is one channel and one target.

    Attributes:
        whole: about the notification.
        channel: about each channel.
        target: about each contact point, and about a channel without one.
        given: those of `whole` that can object where certain facts hold, by the number of these facts. A call
            that says nothing takes 0.1 µs, and most notifications have no time to keep to.
        unblocked: those of `target` that can object about a contact point where nothing is blocked.
        of: those of `channel` that can object on each channel, by its name.
    """

    whole: tuple[Rule, ...]
    channel: tuple[Rule, ...] = ()
    target: tuple[Rule, ...] = ()
    given: tuple[tuple[Rule, ...], ...] = ()
    unblocked: tuple[Rule, ...] = ()
    of: Mapping[str, tuple[Rule, ...]] = MappingProxyType({})


def bind(notification: CompiledNotification, order: tuple[Entry, ...] = ORDER) -> Mapping[Stage, Rules]:
    """Choose the rules that can apply to a notification, for each stage."""
    able = [(entry, entry.given(notification)) for entry in order if entry.applies(notification)]

    def at(stage: Stage, *levels: Level, facts: int = ALL_FACTS) -> tuple[Rule, ...]:
        asked = [entry for entry, given in able if stage in entry.stages and (not given or given & facts)]
        return tuple(entry.rule for entry in asked if entry.level in levels)

    def on(channel: CompiledChannel, stage: Stage) -> tuple[Rule, ...]:
        asked = [entry for entry, _ in able if stage in entry.stages and entry.level is Level.CHANNEL]
        return tuple(entry.rule for entry in asked if entry.on(channel))

    def by_level(stage: Stage) -> Rules:
        whole, channel, target = (at(stage, level) for level in Level)
        given = tuple(at(stage, Level.NOTIFICATION, facts=facts) for facts in range(ALL_FACTS + 1))
        of = {one.name: on(one, stage) for one in notification.all_channels}
        return Rules(whole, channel, target, given, at(stage, Level.TARGET, facts=0), of)

    returned = at(RETURNED, *Level)
    return {
        **{stage: by_level(stage) for stage in BEFORE_ADMISSION},
        RETURNED: Rules(returned, given=(returned,) * (ALL_FACTS + 1)),
    }
