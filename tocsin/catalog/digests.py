"""Describes digests: what a notification collects, when the digest is due, and how it is sent.

    digest:
      every: 1h                    # one of: every | slide + at_most | at (+ on); `count` alone or beside it
      slide: 10m                   # each item moves the end on,
      at_most: 1h                  # to so long after the first item at the latest
      at: "08:00"                  # in the user's zone
      on: [monday, thursday]       # of `at`; left out: every day
      count: 20                    # due at once when it has so many items
      key: data.project            # an open digest for each value; left out: one for the notification
      items: "{'who': data.by}"    # what the template gets of each item; left out: the event's data
      max_items: 10                # the first ones; the others are counted as `more`
      template: comments_digest    # left out: the notification's, with the variable `digest`
      single: plain                # a digest of one item is sent as the plain notification
      only: overflow               # collects only what a limit with `overflow: digest` has no room for

`key` and `items` are expressions over `data`, `event` and `user`, as elsewhere in the catalog.
"""

from collections.abc import Collection, Iterator
from typing import Annotated, Final, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from tocsin.catalog.close_names import no_template
from tocsin.catalog.expressions import Expression
from tocsin.catalog.files import Document, Problem
from tocsin.catalog.scalars import STRICT, DailyMinute, Duration, WholeNumber

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LONGEST_MS: Final = 31 * 86_400_000
"""No digest stays open for longer, whatever its window: what it has is sent then."""


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class DigestSpec(BaseModel):
    """Collects notifications of one user and key, and sends them as one."""

    model_config = STRICT
    every_ms: Duration | None = Field(default=None, alias="every")
    slide_ms: Duration | None = Field(default=None, alias="slide")
    at_most_ms: Duration | None = Field(default=None, alias="at_most")
    at_min: DailyMinute | None = Field(default=None, alias="at")
    on: Annotated[list[Weekday], BeforeValidator(_listed)] | None = Field(default=None, min_length=1)
    count: WholeNumber | None = Field(default=None, ge=2, le=1_000)
    key: str | None = None
    items: str | None = None
    max_items: WholeNumber = Field(default=25, ge=1, le=100)
    template: str = ""
    single: Literal["plain", "digest"] = "digest"
    only: Literal["overflow"] | None = None

    @model_validator(mode="after")
    def _one_window(self) -> "DigestSpec":
        windows = [each for each in (self.every_ms, self.slide_ms, self.at_min) if each is not None]
        if len(windows) > 1:
            msg = "it has more than one window: keep one of every, slide and at"
            raise ValueError(msg)
        if not windows and self.count is None and self.only is None:
            msg = "nothing says when it is due: write every, slide with at_most, at, or count"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _fits(self) -> "DigestSpec":
        if (self.slide_ms is None) != (self.at_most_ms is None):
            msg = "slide and at_most go together: write both or none"
            raise ValueError(msg)
        if self.slide_ms is not None and self.at_most_ms is not None and self.at_most_ms < self.slide_ms:
            msg = "at_most is shorter than slide: the end could never move, use every"
            raise ValueError(msg)
        if self.on is not None and self.at_min is None:
            msg = "on has no time of day: write at, too"
            raise ValueError(msg)
        if max(self.every_ms or 0, self.at_most_ms or 0) > LONGEST_MS:
            msg = "its window is too long: write at most 31d"
            raise ValueError(msg)
        return self


class CompiledDigest(msgspec.Struct, frozen=True, eq=False, gc=False):
    """The digest of a notification; a window that it does not have is 0, `at_min` is -1."""

    every_ms: int
    slide_ms: int
    at_most_ms: int
    at_min: int
    weekdays: tuple[int, ...]
    count: int
    key: Expression | None
    items: Expression
    max_items: int
    plain_single: bool
    overflow_only: bool

    @property
    def has_window(self) -> bool:
        """Return whether a time ends it."""
        return bool(self.every_ms or self.slide_ms or self.at_min >= 0)

    @property
    def is_flexible(self) -> bool:
        """Return whether it has an end that is not fixed, so that it may be due earlier."""
        return bool(self.slide_ms or (self.count and not self.has_window))

    @property
    def expressions(self) -> tuple[Expression | None, ...]:
        """Return what is evaluated of each event."""
        return self.key, self.items


def compile_digest(spec: DigestSpec | None) -> CompiledDigest | None:
    """Compile a digest; its expressions were checked."""
    if spec is None:
        return None
    return CompiledDigest(
        every_ms=spec.every_ms or 0,
        slide_ms=spec.slide_ms or 0,
        at_most_ms=spec.at_most_ms or 0,
        at_min=-1 if spec.at_min is None else spec.at_min,
        weekdays=tuple(WEEKDAYS.index(day) for day in spec.on or ()),
        count=spec.count or 0,
        key=None if spec.key is None else Expression(spec.key),
        items=Expression(spec.items or "data"),
        max_items=spec.max_items,
        plain_single=spec.single == "plain",
        overflow_only=spec.only == "overflow",
    )


def digest_problems(
    document: Document, name: str, spec: DigestSpec | None, priority: str, templates: Collection[str]
) -> Iterator[Problem]:
    """Find what the model alone does not: a digest that may not wait, and a template that is not there."""
    if spec is None:
        return
    if priority == "critical":
        text = "a critical notification does not wait for a digest, remove `digest` or lower the priority"
        yield document.problem((name, "digest"), text)
    if spec.template and spec.template not in templates:
        yield document.problem((name, "digest", "template"), no_template(spec.template, templates))
