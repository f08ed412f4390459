"""Reads ids of users from the parts of a body: lines of text, CSV or JSON lines, gzip or not."""

import csv
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from tocsin.formats.broadcasts import user_fault
from tocsin.formats.shapes import MAX_TEXT
from tocsin.gateway.problems import Problem, of_field

TEXT, CSV, NDJSON = "text/plain", "text/csv", "application/x-ndjson"
MEDIA_TYPES: Final = (TEXT, CSV, NDJSON)
_MOST_BYTES: Final = 1 << 32
"""Bytes of a body without its compression."""
_STEP: Final = 1 << 18
_LONGEST: Final = 8_192
"""Bytes of a line."""
_COLUMNS: Final = frozenset({"user", "user_id", "userid", "id", "subject"})
_GZIP: Final = 31


class _Line(msgspec.Struct):
    user: str


_decode_line = msgspec.json.Decoder(str | _Line).decode
_Reader = Callable[[list[str]], list[str]]


class UserLines:
    """Reads one body. Memory is bounded, however long and however well compressed it is.

    Args:
        media_type: one of `MEDIA_TYPES`, with or without parameters.
        encoding: `gzip`, or empty.

    Raises:
        Problem: of another type or encoding (415).
    """

    def __init__(self, media_type: str, encoding: str) -> None:
        kind = media_type.partition(";")[0].strip().lower()
        if kind not in _READERS:
            raise Problem(415, f"send ids of users as {', '.join(MEDIA_TYPES)}, one a line")
        if encoding.strip().lower() not in {"", "identity", "gzip"}:
            raise Problem(415, "send the body with `Content-Encoding: gzip`, or without any")
        self._unzip = zlib.decompressobj(_GZIP) if encoding.strip().lower() == "gzip" else None
        self._read = _READERS[kind]
        self._column = 0 if kind == CSV else -1
        self._rest = b""
        self._lines = 0
        self._bytes = 0

    def feed(self, part: bytes) -> Iterator[list[str]]:
        """Read a part of the body; raises `Problem` for a line that names no user."""
        for plain in self._plain(part):
            self._bytes += len(plain)
            if self._bytes > _MOST_BYTES:
                raise Problem(413, f"send at most {_MOST_BYTES} bytes, counted without compression")
            whole, newline, rest = plain.rpartition(b"\n")
            if newline:
                yield self._users(self._rest + whole)
                self._rest = rest
            else:
                self._rest += rest
            if len(self._rest) > _LONGEST:
                raise self._wrong(0, "a line that is too long", "write one id of a user a line")

    def end(self) -> list[str]:
        """Read the last line, which needs no line break."""
        if self._unzip is not None and not self._unzip.eof:
            msg = ""
            raise of_field(msg, "gzip that ends early", "send the whole body again")
        rest, self._rest = self._rest, b""
        return self._users(rest) if rest else []

    def _plain(self, part: bytes) -> Iterator[bytes]:
        if self._unzip is None:
            yield part
            return
        while part:
            try:
                yield self._unzip.decompress(part, _STEP)
            except zlib.error:
                msg = ""
                raise of_field(msg, "not gzip", "compress the body, or leave Content-Encoding away") from None
            part = self._unzip.unconsumed_tail
            if self._unzip.eof and self._unzip.unused_data:  # gzip files may follow one another
                part, self._unzip = self._unzip.unused_data, zlib.decompressobj(_GZIP)

    def _users(self, data: bytes) -> list[str]:
        try:
            lines = data.decode().removeprefix("\ufeff" if not self._lines else "").split("\n")
        except UnicodeDecodeError as error:
            at = data.count(b"\n", 0, error.start)
            raise self._wrong(at, "not UTF-8", "write the file as UTF-8") from None
        found = self._of_csv(lines) if self._column >= 0 else self._each(lines)
        self._lines += len(lines)
        self._check(found, lines)
        return [user for user in found if user]

    def _each(self, lines: list[str]) -> list[str]:
        try:
            return self._read(lines)
        except (msgspec.MsgspecError, RecursionError):  # fields beside the user may be nested too deep
            at = next(number for number, line in enumerate(lines) if not _is_line(line))
            cure = 'write an id in quotes, or an object like {"user": "ada"}'
            raise self._wrong(at, "no JSON of a user", cure) from None

    def _of_csv(self, lines: list[str]) -> list[str]:
        try:
            rows = list(csv.reader([line.rstrip("\r") or '""' for line in lines], strict=True))
        except csv.Error:
            raise self._wrong(0, "no CSV", "close all quotes; no cell may hold a line break") from None
        if len(rows) != len(lines):
            raise self._wrong(0, "a line break within a cell", "leave that column away")
        if not self._lines and (named := [cell.strip().lower() for cell in rows[0]]) and _COLUMNS & {*named}:
            self._column = next(at for at, name in enumerate(named) if name in _COLUMNS)
            rows[0] = []
        column = self._column
        return [row[column].strip() if len(row) > column else "" for row in rows]

    def _check(self, found: list[str], lines: list[str]) -> None:
        """Refuse ids that no user has; all at once where nothing can be wrong."""
        if "".join(found).isprintable() and max(map(len, found), default=0) <= MAX_TEXT:
            return
        for at, user in enumerate(found):
            if user and (fault := user_fault(user)):
                raise self._wrong(at - len(lines), f"an id that {fault}", "correct the id")

    def _wrong(self, at: int, kind: str, cure: str) -> Problem:
        """Refuse the line that is `at` lines behind those that were read."""
        return of_field(f"line {self._lines + at + 1}", kind, cure)


def _of_text(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines]


def _of_json(lines: list[str]) -> list[str]:
    found = [_decode_line(line) if line.strip() else "" for line in lines]
    return [each if isinstance(each, str) else each.user for each in found]


def _is_line(line: str) -> bool:
    try:
        _of_json([line])
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


_READERS: Final[dict[str, _Reader]] = {
    TEXT: _of_text,
    CSV: _of_text,
    NDJSON: _of_json,
    "application/jsonl": _of_json,
}
