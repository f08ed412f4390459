"""A record fit for reading, whatever its bytes are."""

import pytest
import typer
from typer.testing import CliRunner

from tocsin.cli.tail import as_value, tail
from tocsin.model.raw import RawRecord


def value(data: bytes | None) -> object:
    return as_value(RawRecord("events", 0, 0, 0, b"k", data, ()))


def test_json_is_shown_as_it_is_and_nothing_as_null() -> None:
    assert value(b'{"a": 1}') == {"a": 1}
    assert value(None) is None


@pytest.mark.parametrize("data", [b"{broken", b'"\xff"', b"[" * 2_000])
def test_other_bytes_are_shown_as_text(data: bytes) -> None:
    assert value(data) == data.decode("utf-8", "backslashreplace")


def test_a_negative_number_of_last_records_is_refused() -> None:
    app = typer.Typer()
    app.command()(tail)
    ended = CliRunner().invoke(app, ["outcomes", "-n", "-4", "--no-follow"])
    assert ended.exit_code == 2
    assert "greater than or equal to" in ended.output
