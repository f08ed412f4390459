"""Moments on the command line: times, days, and how long ago."""

import pytest
import typer

from tocsin.cli.times import moment_ms, time_range

NOW_MS = 1_357_000_000_000
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2013-01-01", 1_356_998_400_000),
        ("2013-01-01T01:00:00+01:00", 1_356_998_400_000),
        ("2013-01-01T00:00:00.250Z", 1_356_998_400_250),
        ("7d", NOW_MS - 7 * DAY_MS),
        ("2w", NOW_MS - 14 * DAY_MS),
        ("90s", NOW_MS - 90_000),
        ("30m", NOW_MS - 1_800_000),
        ("12h", NOW_MS - 43_200_000),
    ],
)
def test_a_moment(text: str, found: int) -> None:
    assert moment_ms(text, NOW_MS) == found


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2013-13-01", "2013-01-01T00:00:00", "7 d", "-7d", "7y", "٧d"]
)
def test_what_is_no_moment_is_told_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="30m, 12h, 7d"):
        moment_ms(text, NOW_MS)


def test_a_range_has_only_the_ends_that_are_given() -> None:
    assert time_range("", "") == {}
    assert time_range("2013-01-01", "2013-01-02") == {
        "from_ms": 1_356_998_400_000,
        "to_ms": 1_357_084_800_000,
    }
    assert time_range("", "2013-01-02") == {"to_ms": 1_357_084_800_000}


@pytest.mark.parametrize(
    ("since", "until"), [("2013-01-02", "2013-01-01"), ("1d", "2d"), ("2013-01-01",) * 2]
)
def test_an_empty_range_is_refused(since: str, until: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        time_range(since, until)
    assert "--since is not before --until" in capsys.readouterr().err


def test_a_range_that_begins_in_the_future_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        time_range("2200-01-01", "")
    assert "--since is not in the past: the range is empty" in capsys.readouterr().err
