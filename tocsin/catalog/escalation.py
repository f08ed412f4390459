"""Describes the words for later steps of a notification, and finds the mistakes in them.

    escalate:                                              # each step unless a receipt comes before
      - {after: 10m, unless: opened, channels: [sms]}      # delivered | opened | clicked | read
    stop_when_seen: true                                   # opened on one channel: drop the others

`sequence: {every: 5m, until: opened}` sends the notification's own channels one after another.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, Field

from tocsin.catalog.scalars import STRICT, ChannelName, Duration
from tocsin.model.channels import unknown_channel
from tocsin.model.engagement import LEVELS

if TYPE_CHECKING:
    LevelName = str
else:
    LevelName = Literal[tuple(LEVELS)]


class EscalationStep(BaseModel):
    """Channels that go out `after` the first ones, unless a receipt of this level or a higher one comes."""

    model_config = STRICT

    after_ms: Duration = Field(alias="after")
    unless: LevelName
    channels: list[ChannelName] = Field(min_length=1)


class ChannelSequence(BaseModel):
    """The channels one after another, until a receipt of this level or a higher one comes."""

    model_config = STRICT

    every_ms: Duration = Field(alias="every")
    until: LevelName


class Mistake(NamedTuple):
    """A mistake: the place below the notification, and what is wrong with the cure."""

    where: tuple[str | int, ...]
    text: str


def escalation_mistakes(
    channels: Sequence[str],
    steps: Sequence[EscalationStep],
    sequence: ChannelSequence | None,
    expires_ms: int | None,
    known: Collection[str],
) -> Iterator[Mistake]:
    """List the mistakes in the later steps of one notification.

    Args:
        channels: the channels that the notification names itself.
        steps: its `escalate`.
        sequence: its `sequence`.
        expires_ms: its `expires`.
        known: channels that there are for it.
    """
    if sequence is not None:
        yield from _sequence_mistakes(channels, steps, sequence, expires_ms)
    before, last_ms = list(channels), 0
    for at, step in enumerate(steps):
        if step.after_ms < last_ms:
            text = "it comes before the step above it: write the steps in the order of `after`"
            yield Mistake(("escalate", at, "after"), text)
        if expires_ms is not None and step.after_ms > expires_ms:
            text = "it has expired by then, so this step is never sent: shorten it or raise `expires`"
            yield Mistake(("escalate", at, "after"), text)
        for place, channel in enumerate(step.channels):
            if text := _channel_mistake(channel, before, known):
                yield Mistake(("escalate", at, "channels", place), text)
            before.append(channel)
        last_ms = max(last_ms, step.after_ms)


def _sequence_mistakes(
    channels: Sequence[str],
    steps: Sequence[EscalationStep],
    sequence: ChannelSequence,
    expires_ms: int | None,
) -> Iterator[Mistake]:
    if steps:
        text = "`sequence` and `escalate` both say when channels go out: keep one of them"
        yield Mistake(("sequence",), text)
    if len(channels) == 1:
        text = "there is one channel, so nothing follows it: add a channel or remove `sequence`"
        yield Mistake(("sequence",), text)
    if expires_ms is not None and sequence.every_ms * (len(channels) - 1) > expires_ms:
        text = "the notification has expired before the last channel: shorten `every` or raise `expires`"
        yield Mistake(("sequence", "every"), text)


def _channel_mistake(channel: str, before: Sequence[str], known: Collection[str]) -> str:
    if channel not in known:
        return unknown_channel(channel, known)
    if channel in before:
        return f"`{channel}` has gone out before, and each channel goes out once: name another one"
    return ""
