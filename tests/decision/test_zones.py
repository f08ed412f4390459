"""Time zones: one data set, the package's, for decisions and for texts."""

import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from tocsin.decision.daily_span import offset_ms
from tocsin.model import zones
from tocsin.render.formats import zone_or

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
# Rules that governments changed in 2026: offsets in hours on 1 December.
CHANGED = {
    "America/Vancouver": -7,
    "America/Edmonton": -6,
    "America/Winnipeg": -5,
    "America/Havana": -4,
    "Africa/Casablanca": 0,
}


@pytest.mark.parametrize(("name", "hours"), CHANGED.items())
def test_rules_of_2026_hold_whatever_the_system_has(name: str, hours: int) -> None:
    found = zones.zone(name)
    assert found is not None
    assert DECEMBER.astimezone(found).utcoffset() == timedelta(hours=hours)
    assert offset_ms(name, int(DECEMBER.timestamp() * 1000)) == hours * 3_600_000


def test_files_of_the_system_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "Europe").mkdir()
    with (files("tzdata") / "zoneinfo" / "Asia" / "Tokyo").open("rb") as tokyo:
        (tmp_path / "Europe" / "Oslo").write_bytes(tokyo.read())
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    try:
        zones.zone.cache_clear()
        found = zones.zone("Europe/Oslo")
        assert found is not None
        assert DECEMBER.astimezone(found).utcoffset() == timedelta(hours=1)
    finally:
        zoneinfo.reset_tzpath(before)


@pytest.mark.parametrize("name", ["", "America", "UTC+3", "Mars/Olympus", "../passwd", "a\x00b"])
def test_unknown_names_are_no_zone_for_texts_nor_decisions(name: str) -> None:
    assert zones.zone(name) is None
    assert zones.resolve(name) == ""
    assert zone_or(name, "Asia/Tokyo") == "Asia/Tokyo"
    assert offset_ms(name, 0) == 0


def test_every_zone_of_the_package_can_be_read() -> None:
    assert len(zones.NAMES) > 500
    assert [name for name in zones.NAMES if zones.zone(name) is None] == []
    assert zones.ZONE_DATA >= "2026.6"
