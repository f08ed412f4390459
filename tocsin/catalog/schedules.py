"""Describes recurring schedules: `schedules/*.yaml` maps names to schedules, one or more a file.

    weekly_newsletter:
      cron: "0 9 * * MON"               # minute, hour, day of month, month, day of week
      zone: user                        # UTC (default) | tenant | user | a name of IANA
      type: newsletter                  # of the event that each occurrence raises
      data: {issue: weekly}             # its data
      for: {segment: german}            # or {topic: flights/UA1545}, or everyone
      missed: skip                      # or run_late (default): the newest one that was missed, late
      paused: true                      # nothing is raised until it is removed
      rate: 500                         # users a second; left out: the tenant's broadcast_rate
      tenants: [default]                # left out: every tenant

`tenants/<tenant>/schedules/*.yaml` has those of one tenant alone. An entry replaces the shared one of its
name, and `name: null` takes it away.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator, model_validator

from tocsin.catalog.close_names import cure
from tocsin.catalog.cron import cron_fault, has_fixed_time
from tocsin.catalog.files import Document, Problem
from tocsin.catalog.scalars import STRICT, ScheduleZone, WholeNumber
from tocsin.catalog.spec import NO_TENANT, NotificationSpec, TenantSpec

EVERYONE = "*"
USER_ZONE = "user"
EVENT_TYPE = r"^[^*\s]+$"
"""The pattern of a type of events."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Audience(BaseModel):
    """Whom the event of a schedule is for: a segment of the tenant, or the subscribers of a topic."""

    model_config = STRICT
    segment: str = ""
    topic: str = Field(default="", max_length=200)

    @field_validator("topic")
    @classmethod
    def _plain(cls, value: str) -> str:
        if _CONTROL.search(value):
            msg = "no topic has control characters: correct its name"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _one(self) -> "Audience":
        if bool(self.segment) == bool(self.topic):
            msg = "it needs one audience: write {segment: NAME}, {topic: NAME} or everyone"
            raise ValueError(msg)
        return self


def _audience(value: object) -> object:
    if value == "everyone":
        return {"segment": EVERYONE}
    if isinstance(value, str):
        name = value or "NAME"
        msg = f"`{value}` is no audience: write everyone, {{segment: {name}}} or {{topic: {name}}}"
        raise ValueError(msg)
    return value


def _cron(value: str) -> str:
    fault = cron_fault(value)
    if fault:
        raise ValueError(fault)
    return value


def _data(value: dict[str, Any]) -> dict[str, Any]:
    try:
        msgspec.json.encode(value)
    except (TypeError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        msg = "it cannot be written as JSON: use texts, numbers, lists and mappings"
        raise ValueError(msg) from error
    return value


class ScheduleSpec(BaseModel):
    """One schedule as it is written."""

    model_config = STRICT
    cron: Annotated[str, AfterValidator(_cron)]
    zone: ScheduleZone = "UTC"
    type: str = Field(min_length=1, pattern=EVENT_TYPE)
    data: Annotated[dict[str, Any], AfterValidator(_data)] = {}
    audience: Annotated[Audience, BeforeValidator(_audience)] = Field(alias="for")
    missed: Literal["run_late", "skip"] = "run_late"
    paused: bool = False
    rate: WholeNumber | None = Field(default=None, ge=1, le=1_000_000)
    tenants: list[str] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "ScheduleSpec":
        if self.zone == USER_ZONE and not has_fixed_time(self.cron):
            msg = "each user's own clock needs a fixed hour and minute: write them in `cron`, or zone: UTC"
            raise ValueError(msg)
        if self.rate and self.audience.topic:
            msg = "`rate` paces broadcasts, and an event for a topic is one for all subscribers: remove it"
            raise ValueError(msg)
        if self.zone == USER_ZONE and self.audience.topic:
            msg = "the event of a topic is one for all subscribers: write zone: tenant, or an IANA name"
            raise ValueError(msg)
        return self


class CompiledSchedule(msgspec.Struct, frozen=True, gc=False):
    """One schedule of one tenant.

    Attributes:
        zone: a name of IANA, or `user`.
        data: JSON.
        segment: of the tenant, or `*`; empty if it is for a `topic`.
        skips: what was missed is left out.
        is_active: neither the schedule nor its tenant is paused.
    """

    tenant: str
    name: str
    cron: str
    zone: str
    type: str
    data: bytes
    segment: str
    topic: str
    skips: bool
    is_active: bool
    rate: int

    @property
    def is_local(self) -> bool:
        """Return whether it means a time of each user's own clock."""
        return self.zone == USER_ZONE

    @property
    def times(self) -> str:
        """Return what its times depend on: an edit of anything else moves none of them."""
        return f"{self.cron} {self.zone}"


class Schedules(msgspec.Struct):
    """What a catalog has of schedules: the shared ones, and those of single tenants.

    Attributes:
        shared: by name.
        own: tenant -> name -> schedule; None takes the shared one away.
        places: tenant, or an empty text, and name -> the file of the entry.
    """

    shared: dict[str, ScheduleSpec] = {}
    own: dict[str, dict[str, ScheduleSpec | None]] = {}
    places: dict[tuple[str, str], Document] = {}

    def of(self, tenant: str) -> dict[str, ScheduleSpec]:
        """Return the schedules of a tenant."""
        both = {**self.shared, **self.own.get(tenant, {})}
        return {
            name: spec
            for name, spec in both.items()
            if spec is not None and (spec.tenants is None or tenant in spec.tenants)
        }

    def place(self, tenant: str, name: str) -> Document:
        """Return the file of an entry."""
        return self.places.get((tenant, name)) or self.places["", name]


def compile_schedules(
    tenant: str, spec: TenantSpec, schedules: Mapping[str, ScheduleSpec]
) -> dict[str, CompiledSchedule]:
    """Compile the schedules of a tenant; they were checked."""
    return {
        name: CompiledSchedule(
            tenant=tenant,
            name=name,
            cron=one.cron,
            zone=spec.timezone if one.zone == "tenant" else one.zone,
            type=one.type,
            data=msgspec.json.encode(one.data),
            segment=one.audience.segment,
            topic=one.audience.topic,
            skips=one.missed == "skip",
            is_active=not one.paused and spec.status == "active",
            rate=one.rate or 0,
        )
        for name, one in schedules.items()
    }


def schedule_problems(
    schedules: Schedules,
    tenants: Mapping[str, TenantSpec],
    names: set[str],
    notifications_of: Callable[[str], Mapping[str, NotificationSpec] | None],
    *,
    complete: bool = True,
) -> Iterator[Problem]:
    """Find what a schedule refers to and is not there: a tenant, a segment, a notification.

    Args:
        schedules: those of all tenants.
        tenants: those whose files have no mistakes.
        names: of all tenants.
        notifications_of: returns the notifications of a tenant; None where some could not be read.
        complete: whether all shared schedules could be read.
    """
    for name, spec in schedules.shared.items():
        if spec.tenants == []:
            yield schedules.place("", name).problem((name, "tenants"), NO_TENANT)
        for tenant in spec.tenants or ():
            if tenant not in names:
                other = cure(tenant, names, f"add tenants/{tenant}.yaml or remove it here")
                text = f"no tenant `{tenant}`, {other}"
                yield schedules.place("", name).problem((name, "tenants"), text)
    for tenant, own in schedules.own.items():
        yield from _own_problems(schedules, tenant, own, complete=complete)
    for tenant, settings in tenants.items():
        notifications = notifications_of(tenant)
        for name, spec in schedules.of(tenant).items():
            document = schedules.place(tenant, name)
            yield from _audience_problems(document, tenant, settings, name, spec)
            asked = notifications is None or any(
                _asks(tenant, notice, spec.type) for notice in notifications.values()
            )
            if not asked:
                types = {notice.on.type for notice in notifications.values()} if notifications else ()
                other = cure(spec.type, types, "add one or correct it")
                text = f"no notification of tenant `{tenant}` asks for `{spec.type}`, {other}"
                yield document.problem((name, "type"), text)._replace(tenant=tenant)


def _own_problems(
    schedules: Schedules, tenant: str, own: Mapping[str, ScheduleSpec | None], *, complete: bool
) -> Iterator[Problem]:
    """Find entries of one tenant that say nothing: no schedule to take away, other tenants."""
    for name, spec in own.items():
        document = schedules.place(tenant, name)
        if spec is None and complete and name not in schedules.shared:
            other = cure(name, schedules.shared, "remove this line")
            yield document.problem((name,), f"no shared schedule `{name}` to take away, {other}")
        if spec is not None and spec.tenants is not None:
            yield document.problem((name, "tenants"), "only this tenant reads the file, remove `tenants`")


def _audience_problems(
    document: Document, tenant: str, settings: TenantSpec, name: str, spec: ScheduleSpec
) -> Iterator[Problem]:
    segment = spec.audience.segment
    if segment and segment != EVERYONE and segment not in settings.segments:
        other = cure(segment, settings.segments, "add it to its `segments` or set `tenants`")
        text = f"tenant `{tenant}` has no segment `{segment}`, {other}"
        yield document.problem((name, "for"), text)._replace(tenant=tenant)


def _asks(tenant: str, notice: NotificationSpec, event_type: str) -> bool:
    wanted = notice.on.type
    matches = event_type.startswith(wanted[:-1]) if wanted.endswith("*") else wanted == event_type
    return matches and (notice.tenants is None or tenant in notice.tenants)
