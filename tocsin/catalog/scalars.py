"""Defines the kinds of values that fields of the catalog share: durations, times of day, zones, names."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict

from tocsin.model.channels import CHANNELS, RESERVED, is_channel_name
from tocsin.model.zones import meant, zone

_DURATION = re.compile(r"^(\d{1,9})(ms|s|m|h|d)$")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LONGEST_MS = 3_660 * 86_400_000
"""Ten years: whoever writes more has taken a wrong unit."""
_DAILY = re.compile(r"^([01]\d|2[0-3]):([0-5]\d)$")


def _duration_ms(value: object) -> int:
    found = _DURATION.match(value) if isinstance(value, str) else None
    if found is None or int(found[1]) == 0:
        msg = "not a duration: write a number above 0 and a unit, such as 30s, 10m, 6h or 1d"
        raise ValueError(msg)
    duration_ms = int(found[1]) * _UNIT_MS[found[2]]
    if duration_ms > _LONGEST_MS:
        msg = f"too long: write at most {spelled_duration(_LONGEST_MS)}"
        raise ValueError(msg)
    return duration_ms


def _whole(value: object) -> object:
    if isinstance(value, bool):  # pydantic reads true as 1
        msg = "not a number: write a whole number"
        raise ValueError(msg)
    return value


def spelled_duration(ms: int) -> str:
    """Spell a duration as the catalog does, in the largest unit that fits."""
    unit = next(unit for unit in reversed(_UNIT_MS) if ms % _UNIT_MS[unit] == 0)
    return f"{ms // _UNIT_MS[unit]}{unit}"


def daily_minute(value: object) -> int:
    """Return the minute of the day of `HH:MM`; ValueError says how to write it."""
    found = _DAILY.match(value) if isinstance(value, str) else None
    if found is None:
        msg = "not a time of day: write HH:MM from 00:00 to 23:59"
        raise ValueError(msg)
    return int(found[1]) * 60 + int(found[2])


def _zone_cure(value: str, else_cure: str) -> str:
    known = meant(value)
    return f"did you mean {known}?" if known else else_cure


def _zone(value: str) -> str:
    if zone(value) is None:
        msg = f"not an IANA time zone: {_zone_cure(value, 'write a name such as Europe/Berlin')}"
        raise ValueError(msg)
    return value


def _offset_ms(value: object) -> int:
    sign, text = (value[0], value[1:]) if isinstance(value, str) and value[:1] in ("-", "+") else ("", value)
    if not isinstance(text, str) or _DURATION.match(text) is None:
        msg = "not an offset: write -10m for ten minutes before, or 1h for an hour after"
        raise ValueError(msg)
    distance_ms = _duration_ms(text)
    return -distance_ms if sign == "-" else distance_ms


def _zone_of_schedule(value: str) -> str:
    if value not in ("user", "tenant") and zone(value) is None:
        choices = "write user, tenant, UTC, or an IANA name such as Europe/Berlin"
        msg = f"not a time zone: {_zone_cure(value, choices)}"
        raise ValueError(msg)
    return value


def _channel(value: str) -> str:
    if value.lower() in CHANNELS and value not in CHANNELS:
        msg = f"`{value}` is no channel: did you mean `{value.lower()}`?"
        raise ValueError(msg)
    if value in RESERVED:
        msg = f"`{value}` has a meaning of its own, so no channel has this name: choose another one"
        raise ValueError(msg)
    if not is_channel_name(value):
        msg = f"`{value}` is no name of a channel: use a-z, digits, dash and underscore, at most 32"
        raise ValueError(msg)
    return value


WholeNumber = Annotated[int, BeforeValidator(_whole)]
"""A number without a fraction; true and false are none."""
Duration = Annotated[int, BeforeValidator(_duration_ms)]
"""A duration in ms, written as a number and a unit."""
DailyMinute = Annotated[int, BeforeValidator(daily_minute)]
"""A minute of the day, written as `HH:MM`."""
Offset = Annotated[int, BeforeValidator(_offset_ms)]
"""A duration in ms that may have a sign: -10m is ten minutes before."""
Zone = Annotated[str, AfterValidator(_zone)]
"""A time zone of IANA."""
ScheduleZone = Annotated[str, AfterValidator(_zone_of_schedule)]
"""`user`, `tenant`, or a time zone of IANA."""
ChannelName = Annotated[str, AfterValidator(_channel)]
"""A channel that Tocsin knows, or that the tenant declares under `channels:`. The loader tells them apart."""
Priority = Literal["critical", "high", "normal", "low"]
STRICT: Final = ConfigDict(frozen=True, extra="forbid", validate_by_name=False)
"""The settings of every model of the catalog: fields that it does not know are refused."""
