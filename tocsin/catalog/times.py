"""Describes times of the catalog: when a notification leaves, and the hours in which it may."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from tocsin.catalog.scalars import STRICT, DailyMinute, Duration, Offset, ScheduleZone, daily_minute
from tocsin.model.moments import Moment, moment_of

NO_TIME = (
    "not a time: write HH:MM, a date and time such as 2026-12-24T18:00, or `expression: data.…` for a time"
    " in the event"
)


class Span(BaseModel):
    """A daily span in the user's time zone; an end before the start passes midnight."""

    model_config = STRICT

    start_min: DailyMinute = Field(alias="start")
    end_min: DailyMinute = Field(alias="end")


class QuietHours(Span):
    """The hours of the day in which nothing is sent to users who have not chosen others."""

    @model_validator(mode="after")
    def _closed(self) -> "QuietHours":
        if self.start_min == self.end_min:
            msg = "start equals end, so nothing is ever held: set other hours or remove them"
            raise ValueError(msg)
        return self


class SendWindow(Span):
    """The only hours of the day in which a notification leaves."""

    @model_validator(mode="after")
    def _open(self) -> "SendWindow":
        if self.start_min == self.end_min:
            msg = "start equals end, so nothing could ever leave: widen the window or remove it"
            raise ValueError(msg)
        return self


class ChannelWindow(SendWindow):
    """The only hours of the day in which a channel may be used, such as those that a law sets for SMS.

    A critical notification is held, too, unless `critical` is `passes`.
    """

    critical: Literal["hold", "passes"] = "hold"


def _time(value: object) -> int | Moment:
    """Read `HH:MM` as a minute of the day, and anything else as a moment."""
    try:
        return daily_minute(value)
    except ValueError:
        pass
    try:
        if isinstance(value, str):
            return moment_of(value)
    except ValueError as error:
        raise ValueError(NO_TIME) from error
    raise ValueError(NO_TIME)


class At(BaseModel):
    """The time at which a notification leaves. Exactly one of `time` and `expression` is written.

    `time` is `HH:MM`, the next one after the event, or a date and time. `expression` gives a time in the
    event, and `offset` moves it. `zone` says whose clock shows a time without an offset of its own. After
    `expires`, counted from that time, it is too late.
    """

    model_config = STRICT

    time: Annotated[int | Moment | None, BeforeValidator(_time)] = None
    expression: str | None = None
    offset_ms: Offset = Field(default=0, alias="offset")
    zone: ScheduleZone = "user"
    expires_ms: Duration | None = Field(default=None, alias="expires")

    @model_validator(mode="after")
    def _fits(self) -> "At":
        if self.time is None and self.expression is None:
            msg = "it has no time: write `time` or `expression`"
            raise ValueError(msg)
        if self.time is not None and self.expression is not None:
            msg = "`time` and `expression` exclude each other: write one of them"
            raise ValueError(msg)
        if self.time is not None and self.offset_ms:
            msg = "`offset` moves the time of an `expression`: write the `time` that is meant, without it"
            raise ValueError(msg)
        return self


def at_entry(value: object) -> object:
    """Read anything but a group of fields as `time`; ValueError says how to write it."""
    if value is None or isinstance(value, dict):
        return value
    _time(value)
    return {"time": value}
