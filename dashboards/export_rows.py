"""Counts the rows of an export from its bytes, and finds out whether it is whole."""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from tocsin.errors import ExportError

_NEWLINE, _QUOTE = b"\n", b'"'
_OTHERS = bytes(set(range(256)) - {_NEWLINE[0], _QUOTE[0]})
_MAGIC = b"PAR1"
_LENGTH_BYTES = 4
_TAIL_BYTES = 16 << 20
"""More than the footer of any Parquet file that ClickHouse writes: some 10 KB a million rows."""
_NUM_ROWS = 3
"""The field of Parquet's FileMetaData that has the number of rows."""


class RowCounter(Protocol):
    """Reads the bytes of a file in order."""

    @property
    def so_far(self) -> int:
        """Rows so far; 0 while they are not known."""
        ...

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        ...

    def rows(self) -> int:
        """Give the number of rows.

        Raises:
            ExportError: the bytes are not a whole file.
        """
        ...


class CsvRows:
    r"""Counts the lines of CSV after its header; a line break in quotes ends none.

    >>> found = CsvRows()
    >>> found.feed(b"name,n\n'two\nlines',1\n".replace(b"'", b'"') + b"one,2\n")
    >>> found.rows()
    2
    """

    def __init__(self) -> None:
        self._lines = 0
        self._is_quoted = False

    @property
    def so_far(self) -> int:
        """Rows so far."""
        return max(0, self._lines - 1)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes. What is between quotes and line breaks is dropped at the speed of memory."""
        left = chunk.translate(None, _OTHERS).replace(_QUOTE * 2, b"")
        for part in left.split(_QUOTE):
            if not self._is_quoted:
                self._lines += len(part)
            self._is_quoted = not self._is_quoted
        self._is_quoted = not self._is_quoted

    def rows(self) -> int:
        """Return the number of rows.

        Raises:
            ExportError: the answer was cut off.
        """
        if self._is_quoted or not self._lines:
            msg = "the answer of ClickHouse is cut off"
            raise ExportError(msg)
        return self._lines - 1


class ParquetRows:
    """Reads the number of rows from the footer of a Parquet file."""

    def __init__(self) -> None:
        self._tail: deque[bytes] = deque()
        self._held = 0

    @property
    def so_far(self) -> int:
        """Nothing: the footer comes last."""
        return 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; only the last of them are kept."""
        self._tail.append(chunk)
        self._held += len(chunk)
        while self._held - len(self._tail[0]) >= _TAIL_BYTES:
            self._held -= len(self._tail.popleft())

    def rows(self) -> int:
        """Return the number of rows.

        Raises:
            ExportError: the answer was cut off.
        """
        tail = b"".join(self._tail)
        end = len(tail) - len(_MAGIC) - _LENGTH_BYTES
        length = int.from_bytes(tail[end : end + _LENGTH_BYTES], "little")
        if not tail.endswith(_MAGIC) or not 0 < length <= end:
            msg = "the answer of ClickHouse is cut off: it has no footer of Parquet"
            raise ExportError(msg)
        found = dict(_Thrift(tail[end - length : end]).integers())
        return found[_NUM_ROWS]


class _Thrift:
    """Reads the integers of a struct in Thrift's compact protocol, and passes over all else."""

    _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
    _INTEGERS = (4, 5, 6)

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def integers(self) -> Iterator[tuple[int, int]]:
        """Give the number and value of each integer field."""
        for number, kind in self._fields():
            if kind in self._INTEGERS:
                value = self._varint()
                yield number, (value >> 1) ^ -(value & 1)
            else:
                self._skip(kind)

    def _fields(self) -> Iterator[tuple[int, int]]:
        number = 0
        while head := self._byte():
            delta = head >> 4
            if delta:
                number += delta
            else:
                value = self._varint()
                number = (value >> 1) ^ -(value & 1)
            yield number, head & 15

    def _skip(self, kind: int) -> None:
        if kind in self._INTEGERS:
            self._varint()
        elif kind == self._BINARY:
            length = self._varint()
            self._at += length
        elif kind in {self._BYTE, self._DOUBLE}:
            self._at += 1 if kind == self._BYTE else 8
        elif kind in {self._LIST, self._SET}:
            self._skip_list()
        elif kind == self._STRUCT:
            for _, inner in self._fields():
                self._skip(inner)
        elif kind == self._MAP:
            msg = "a map in the footer of Parquet, which has none"
            raise ExportError(msg)

    def _skip_list(self) -> None:
        head = self._byte()
        size = head >> 4
        kind = head & 15
        for _ in range(self._varint() if size == 15 else size):  # 15: the size follows
            self._skip(self._BYTE if kind in {self._TRUE, self._FALSE} else kind)

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # the highest bit says that more follow
                return value
            shift += 7
