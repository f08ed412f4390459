"""Describes limits as people write them: at most so many in a rolling window or a calendar period.

limits:
  - {max: 3, per: 1d}                                  # in any 24 hours; scope: notification, overflow: drop
  - {max: 40, calendar: month, scope: category}        # in each month of the user's calendar
  - {max: 1, per: 10m, scope: user, overflow: hold}    # the rest waits, more important ones first
  - {max: 2, calendar: day, scope: channel, channel: sms, overflow: hold}
  - {max: 5, per: 1h, overflow: digest}                # the rest as one message, when there is room
"""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from tocsin.catalog.caps import PERIODS_MS
from tocsin.catalog.scalars import STRICT, ChannelName, Duration, WholeNumber, spelled_duration

OVERFLOWS: Final = ("drop", "digest", "hold")
"""What becomes of the rest where a limit is reached, in the order in which limits are asked."""
ROLLING_MAX: Final = 1_000
"""A rolling window keeps the time of each admission, eight bytes each."""
LONGEST_MS: Final = 366 * 86_400_000
"""No rolling window is longer: a user's record keeps its times for so long."""
Scope = Literal["notification", "category", "marketing", "channel", "user"]


def _window(window_ms: int) -> int:
    if window_ms > LONGEST_MS:
        msg = f"the window is too long: write at most {spelled_duration(LONGEST_MS)}, or `calendar`"
        raise ValueError(msg)
    return window_ms


class Limit(BaseModel):
    """At most `max` in any rolling window, or in each calendar period of the user's zone; counted per user.

    `scope` says what is counted: this notification (or, in a tenant file, each notification), its category,
    all marketing, one channel, or everything that is not critical. A critical notification meets no limit;
    all but those of scope `user` count it. `overflow` says what becomes of the rest: it is dropped, held
    until there is room, or sent as one digest then. A limit of a channel holds that channel only.
    """

    model_config = STRICT

    max: WholeNumber = Field(ge=1, le=1_000_000)
    per_ms: Annotated[Duration, AfterValidator(_window)] | None = Field(default=None, alias="per")
    calendar: Literal["minute", "hour", "day", "week", "month"] | None = None
    scope: Scope = "notification"
    channel: ChannelName | None = None
    overflow: Literal["drop", "digest", "hold"] = "drop"

    @property
    def window_ms(self) -> int:
        """Return the length of the window; of a calendar period the greatest length."""
        return self.per_ms or PERIODS_MS[self.calendar or "month"]

    @property
    def spelled(self) -> str:
        """Spell number and window as the catalog does."""
        per = f"calendar: {self.calendar}" if self.calendar else f"per: {spelled_duration(self.window_ms)}"
        return f"max: {self.max}, {per}"

    @model_validator(mode="after")
    def _has_one_window(self) -> "Limit":
        if (self.per_ms is None) == (self.calendar is None):
            msg = "a limit has one window: write either `per` (rolling) or `calendar`"
            raise ValueError(msg)
        if self.per_ms is not None and self.max > ROLLING_MAX:
            msg = f"`max` of a rolling window is {ROLLING_MAX} at most: write `calendar` instead of `per`"
            raise ValueError(msg)
        if (self.scope == "channel") != (self.channel is not None):
            msg = "scope `channel` and a `channel` go together: write both or none"
            raise ValueError(msg)
        if self.scope == "channel" and self.overflow == "digest":
            msg = "a limit of one channel cannot put the whole notification into a digest: let it hold"
            raise ValueError(msg)
        return self


DEFAULT_LIMITS: Final = (
    Limit.model_validate({"max": 5, "per": "1d", "scope": "marketing"}),
    Limit.model_validate({"max": 1, "per": "1m", "scope": "user"}),
    Limit.model_validate({"max": 50, "per": "30d", "scope": "channel", "channel": "sms"}),
)
