"""Schedules: cron times on days on which clocks change, and what `tocsin check` says of mistakes."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decision.gate_world import SMALL
from tocsin.catalog.cron import cron_fault, last_ms, next_ms, spelled
from tocsin.catalog.loader import check, load

MANY = SMALL.parent / "many"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def times(cron: str, zone: str, after: str, count: int = 3) -> list[str]:
    """List the next times of an expression as the zone's clock shows them."""
    found, at = [], ms(after)
    for _ in range(count):
        following = next_ms(cron, zone, at)
        assert following is not None
        at = following
        found.append(spelled(at, zone))
    return found


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # Berlin leaps from 02:00 to 03:00 on 29 March 2026, and repeats 02:00 to 03:00 on 25 October.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["29T03:00+02:00", "30T02:30+02:00"]),
        ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["29T03:00+02:00", "30T03:00+02:00"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["29T03:00+02:00", "30T02:00+02:00"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["25T02:30+02:00", "26T02:30+01:00"]),
        ("50 2 * * *", "Europe/Berlin", "2026-10-25T01:10Z", ["26T02:50+01:00"]),
        ("30 * * * *", "Europe/Berlin", "2026-10-25T00:00Z", ["25T02:30+02:00", "25T02:30+01:00"]),
        # Samoa had no 30 December 2011.
        (
            "0 9 * * *",
            "Pacific/Apia",
            "2011-12-29T12:00Z",
            ["29T09:00-10:00", "31T00:00+14:00", "31T09:00+14:00"],
        ),
        ("0 9 * * MON", "UTC", "2026-11-28T12:00Z", ["30T09:00Z", "07T09:00Z"]),
        ("0 0 L * *", "UTC", "2026-02-01T12:00Z", ["28T00:00Z", "31T00:00Z"]),
        ("0 0 29 2 *", "UTC", "2026-02-01T12:00Z", ["29T00:00Z"]),
    ],
)
def test_times_are_those_of_debian_s_cron(cron: str, zone: str, after: str, expected: list[str]) -> None:
    found = times(cron, zone, after, len(expected))
    assert [one[8:] for one in found] == expected


CRON = st.tuples(
    st.sampled_from(["0", "30", "*/20", "5,50"]), st.sampled_from(["*", "2", "*/6", "1-3"]),
    st.sampled_from(["* * *", "1 * *", "* * SUN"]),
).map(" ".join)  # fmt: skip
ZONE = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
MOMENT = st.integers(ms("2026-01-01T00:00Z") // 60_000, ms("2027-01-01T00:00Z") // 60_000).map(
    lambda minute: minute * 60_000 + 17
)


@settings(max_examples=60, deadline=None)
@given(CRON, ZONE, MOMENT)
def test_a_next_time_is_later_and_none_lies_between(cron: str, zone: str, after_ms: int) -> None:
    """A restart between two times finds the second one, whatever the moment."""
    first = next_ms(cron, zone, after_ms)
    assert first is not None
    assert first > after_ms
    second = next_ms(cron, zone, first)
    assert second is not None
    assert second > first
    for moment in (first + 1, (first + second) // 2, second - 1):
        assert next_ms(cron, zone, moment) == second
    assert last_ms(cron, zone, first, second - 1) == first
    assert last_ms(cron, zone, first, second) == second


def test_the_last_time_is_found_over_years_of_minutes() -> None:
    from_ms, until_ms = ms("2020-01-01T00:00Z"), ms("2026-01-01T00:00Z")
    assert last_ms("* * * * *", "UTC", from_ms, until_ms + 5) == until_ms


@pytest.mark.parametrize(
    ("cron", "fault"),
    [
        ("0 9 * *", "not five fields"),
        ("@daily", "not five fields"),
        ("0 0 9 * * *", "not five fields"),
        ("61 9 * * *", "it has a bad minute: write 0 to 59"),
        ("0 9 31 2 *", "it has a bad day of month: write a day that its month has"),
        ("0 9 * * monday", "it has a bad day of week: write 0 to 7, or SUN to SAT"),
        ("0 9 * * MON", ""),
    ],
)
def test_a_wrong_expression_is_explained(cron: str, fault: str) -> None:
    assert cron_fault(cron).startswith(fault)
    assert bool(cron_fault(cron)) == bool(fault)


GOOD = 'cron: "0 9 * * *"\n  type: newsletter\n  for: everyone\n  tenants: [default]\n'


@pytest.mark.parametrize(
    ("entry", "line", "text"),
    [
        (GOOD.replace("0 9", "0 99"), 2, "`cron` is wrong: it has a bad hour, write 0 to 23"),
        (GOOD + "  zone: Mars", 6, "`zone` is wrong: not a time zone, write user, tenant, UTC"),
        (
            GOOD.replace("everyone", "{segment: nobody}"),
            4,
            "tenant `default` has no segment `nobody`, add it",
        ),
        (GOOD.replace("everyone", "{segmnt: all}"), 4, "unknown field `segmnt`, did you mean `segment`?"),
        (GOOD.replace("everyone", "{}"), 4, "it needs one audience, write {segment: NAME}"),
        (
            GOOD.replace("newsletter", "unheard.of"),
            3,
            "no notification of tenant `default` asks for `unheard.of`",
        ),
        (GOOD.replace("[default]", "[ghost]"), 5, "no tenant `ghost`, add tenants/ghost.yaml"),
        (GOOD.replace("0 9 *", "*/5 * *") + "  zone: user", 1, "each user's own clock needs a fixed hour"),
        (GOOD.replace("everyone", "{topic: t}") + "  zone: user", 1, "the event of a topic is one for all"),
        (
            GOOD.replace("everyone", "{topic: t}") + "  rate: 5",
            1,
            "`rate` paces broadcasts, and an event for a topic",
        ),
        (GOOD.replace("everyone", '{topic: "a\\tb"}'), 4, "no topic has control characters"),
        (GOOD + '  data: {a: "\\uD800"}', 6, "it cannot be written as JSON"),
        (GOOD + "  crom: x", 6, "unknown field `crom`, did you mean `cron`?"),
        ("", 1, "`cron` is missing, add it"),
    ],
)
def test_mistakes_have_a_line_and_a_cure(tmp_path: Path, entry: str, line: int, text: str) -> None:
    folder = shutil.copytree(MANY, tmp_path / "catalog")
    (folder / "schedules").mkdir()
    (folder / "schedules" / "all.yaml").write_text(f"daily:\n  {entry}")
    found = [one for one in check(folder) if text in one.text]
    assert found, check(folder)
    assert (found[0].file, found[0].line) == ("schedules/all.yaml", line)


@pytest.mark.parametrize(
    ("segments", "text"),
    [
        ("{a: data.x > 1}", "segment `a` is wrong: unknown variable `data`, use user"),
        ("{a: 'user.'}", "segment `a` is wrong: not an expression"),
        ("{'*': 'true'}", "`*` is no name"),
    ],
)
def test_mistakes_of_segments_have_a_line_and_a_cure(tmp_path: Path, segments: str, text: str) -> None:
    folder = shutil.copytree(MANY, tmp_path / "catalog")
    (folder / "tenants" / "other.yaml").write_text(
        f"categories: {{news: {{}}, alerts: {{}}}}\nsegments: {segments}\n"
    )
    (found,) = check(folder)
    assert found.text.startswith(text)
    assert (found.file, found.line) == ("tenants/other.yaml", 2)


@pytest.mark.parametrize(
    ("entry", "line", "text"),
    [
        ("null", 1, "no shared schedule `daily` to take away, remove this line"),
        (f"\n  {GOOD}", 5, "only this tenant reads the file, remove `tenants`"),
    ],
)
def test_mistakes_of_own_schedules_have_a_line_and_a_cure(
    tmp_path: Path, entry: str, line: int, text: str
) -> None:
    folder = shutil.copytree(MANY, tmp_path / "catalog")
    (folder / "tenants/other/schedules").mkdir(parents=True)
    (folder / "tenants/other/schedules/own.yaml").write_text(f"daily: {entry}")
    (found,) = check(folder)
    assert (found.file, found.line, found.text) == ("tenants/other/schedules/own.yaml", line, text)


def test_a_tenant_may_have_replace_and_take_away_schedules(tmp_path: Path) -> None:
    folder = shutil.copytree(MANY, tmp_path / "catalog")
    (folder / "schedules").mkdir()
    shared = GOOD.replace("  tenants: [default]\n", "")
    (folder / "schedules" / "all.yaml").write_text(f"daily:\n  {shared}weekly:\n  {shared}")
    own = folder / "tenants" / "other" / "schedules"
    own.mkdir(parents=True)
    (own / "all.yaml").write_text(
        f"daily: null\nweekly:\n  {shared}  zone: tenant\nmine:\n  {shared}  paused: true\n"
    )
    assert check(folder) == []
    tenants = load(folder).tenants
    assert {name: one.zone for name, one in tenants["default"].schedules.items()} == {
        "daily": "UTC",
        "weekly": "UTC",
    }
    assert {name: one.is_active for name, one in tenants["other"].schedules.items()} == {
        "weekly": True,
        "mine": False,
    }
