"""The file of an export is there whole under its name, or not at all."""

import gzip
from pathlib import Path

import pytest
from backports import zstd

from dashboards.export_file import Form, compressor, form_of, whole_file
from tocsin.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("-", Form("csv")),
        ("rows.csv", Form("csv")),
        ("2013-01.rows.csv.gz", Form("csv", "gz")),
        ("/tmp/rows.csv.zst", Form("csv", "zst")),
        ("rows.parquet", Form("parquet")),
    ],
)
def test_the_name_says_the_form(name: str, form: Form) -> None:
    assert form_of(name) == form


@pytest.mark.parametrize("name", ["rows", "rows.json", "rows.parquet.gz", "rows.csv.bz2", ".csv", "rows.CSV"])
def test_another_name_is_told_the_endings(name: str) -> None:
    with pytest.raises(SettingsError, match=r"\.parquet, \.csv, \.csv\.gz or \.csv\.zst"):
        form_of(name)


def test_what_is_compressed_is_read_by_others() -> None:
    parts = [b"one,", b"two\n" * 1000]
    packed = {kind: compressor(Form("csv", kind)) for kind in ("", "gz", "zst")}
    found = {kind: b"".join(map(one.compress, parts)) + one.flush() for kind, one in packed.items()}
    whole = b"".join(parts)
    assert (found[""], gzip.decompress(found["gz"]), zstd.decompress(found["zst"])) == (whole, whole, whole)


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with whole_file(path, force=False) as file:
        file.write(b"a")
        assert not path.exists()
    assert path.read_bytes() == b"a"
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]
    assert path.stat().st_mode & 0o400


def _write(path: Path, data: bytes, error: type[BaseException] | None = None) -> None:
    with whole_file(path, force=error is not None) as file:
        file.write(data)
        if error:
            raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_and_the_old_file_stays(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"old")
    with pytest.raises(error):
        _write(path, b"new", error)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["rows.csv"]


def test_a_file_that_exists_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"old")
    with pytest.raises(SettingsError, match=r"rows\.csv exists; --force replaces it"):
        _write(path, b"new")
    with whole_file(path, force=True) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no folder"):
        _write(tmp_path / "no/rows.csv", b"new")
