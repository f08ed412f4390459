"""Ids of users are read from every form of body, whatever its parts; faults name the line."""

import gzip
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.gateway.broadcasts.user_lines import CSV, NDJSON, TEXT, UserLines
from tocsin.gateway.problems import Problem

NAMES = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=9))


def read(media_type: str, body: bytes, step: int = 1 << 16, encoding: str = "") -> list[str]:
    """Read a body in parts of so many bytes."""
    lines, found = UserLines(media_type, encoding), list[str]()
    for at in range(0, len(body), step):
        for users in lines.feed(body[at : at + step]):
            found += users
    return found + lines.end()


def as_csv(names: list[str]) -> bytes:
    quoted = (name.replace('"', '""') for name in names)
    return "".join(f'"{name}",x\r\n' for name in ("user", *quoted)).encode()


@given(NAMES, st.integers(1, 40), st.booleans())
def test_what_is_written_is_read_whatever_the_parts(names: list[str], step: int, zipped: bool) -> None:
    bodies = {
        TEXT: "\n".join(names).encode(),
        NDJSON: b"\n".join(msgspec.json.encode(name) for name in names),
        CSV: as_csv(names),
    }
    for media_type, body in bodies.items():
        packed = gzip.compress(body) if zipped else body
        encoding = "gzip" if zipped else ""
        names_read = read(media_type, packed, step, encoding)
        assert names_read == [name for name in names if name.strip()], media_type


def test_lines_may_be_objects_and_columns_may_be_named() -> None:
    assert read(NDJSON, b'{"user": "ada", "x": 1}\n\n"bob"\n') == ["ada", "bob"]
    assert read(CSV, b"mail,user_id\na@x.example,ada\nb@x.example,bob") == ["ada", "bob"]
    assert read("text/csv; charset=utf-8", b"ada\nbob,7\n") == ["ada", "bob"]
    assert read(TEXT, b"\xef\xbb\xbfada\r\n  bob \r\n\r\n") == ["ada", "bob"]


def test_gzip_files_may_follow_one_another() -> None:
    assert read(TEXT, gzip.compress(b"ada\n") + gzip.compress(b"bob\n"), 7, "gzip") == ["ada", "bob"]


@pytest.mark.parametrize(
    ("media_type", "body", "field", "kind"),
    [
        (TEXT, b"ada\n\x00bob\n", "line 2", "an id that has control characters"),
        (TEXT, b"ada\n" + b"x" * 600, "line 2", "an id that has more than 512 characters"),
        (TEXT, b"ada\nb\xffb\n", "line 2", "not UTF-8"),
        (TEXT, b"ada\n" + b"x" * 9_000, "line 2", "a line that is too long"),
        (NDJSON, b'"ada"\n"bob"\n7\n', "line 3", "no JSON of a user"),
        (NDJSON, b'"ada"\n{"name": "bob"}\n', "line 2", "no JSON of a user"),
        (NDJSON, b'"ada"\n{"user": "bob", "x": ' + b"[" * 3_900 + b"\n", "line 2", "no JSON of a user"),
        (CSV, b'"ada\nbob\n', "line 1", "no CSV"),
    ],
)
def test_a_fault_names_the_line_and_no_value(media_type: str, body: bytes, field: str, kind: str) -> None:
    with pytest.raises(Problem) as refused:
        read(media_type, body)
    (error,) = refused.value.errors
    assert (refused.value.status, error.field, error.kind) == (422, field, kind)
    assert "bob" not in refused.value.detail
    assert error.cure


def test_a_line_in_a_later_part_is_counted_from_the_first() -> None:
    with pytest.raises(Problem, match="line 5"):
        read(TEXT, b"a\nb\nc\nd\n\x01\n", 3)


@pytest.mark.parametrize(
    ("media_type", "encoding", "said"),
    [("application/json", "", "one a line"), ("", "", "one a line"), (TEXT, "br", "Content-Encoding: gzip")],
)
def test_other_types_and_encodings_are_refused(media_type: str, encoding: str, said: str) -> None:
    with pytest.raises(Problem, match=said) as refused:
        UserLines(media_type, encoding)
    assert refused.value.status == 415


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(b"ada\nbob\n" * 99)[:-9]], ids=["none", "cut short"]
)
def test_gzip_that_is_none_or_breaks_off_is_refused(body: bytes) -> None:
    with pytest.raises(Problem, match="body"):
        read(TEXT, body, encoding="gzip")


def test_memory_is_bounded_however_well_the_body_is_compressed() -> None:
    packed = gzip.compress(b"user-00000001\n" * 1_000_000, 9)
    lines, count = UserLines(TEXT, "gzip"), 0
    tracemalloc.start()
    for users in lines.feed(packed):
        count += len(users)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1_000_000
    assert peak < 6_000_000, "14 MB as text"
