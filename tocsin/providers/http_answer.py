"""Reads an answer that came whole in one piece, as nearly every answer of a provider does.

It finds the two numbers that matter, and leaves the headers as they are until somebody asks for one. What is
unusual in any way is left to the parser: it decides what is an answer, and where it ends.
"""

import re
from collections.abc import Iterator, Mapping

from tocsin.providers.http import Response

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")
_LENGTH = re.compile(rb"\ncontent-length: *(\d{1,7})\r")
_USUAL = re.compile(
    rb"[^\r\n\0]*"
    rb"(?:\r\n(?!transfer-encoding:|upgrade:|trailer:|connection:(?! ?keep-alive\r))"
    rb"[!#$%&'*+.^_`|~0-9a-z-]+:[^\r\n\0]*)*\r\n"
)
"""A head, in lower case, of whole lines whose names are names, and none of which says another end."""
_NO_BODY = (b"204", b"304")


class LazyHeaders(Mapping[str, str]):
    """The headers of an answer, taken apart when the first is asked for; names are in lower case."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._fields: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, str]:
        if self._fields is None:
            self._fields = {}
            for line in self._head.split(b"\r\n")[1:]:
                name, _, value = line.decode("latin-1").partition(":")
                join(self._fields, name.lower(), value.strip())
        return self._fields


def join(headers: dict[str, str], name: str, value: str) -> None:
    """Keep a header; repeated ones are joined as RFC 9110 allows."""
    known = headers.get(name)
    headers[name] = value if known is None else f"{known}, {value}"


def whole_answer(data: bytes) -> Response | None:
    r"""Read a complete answer that leaves its connection open; None for anything else, whatever it is.

    >>> whole_answer(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}").body
    b'{}'
    >>> whole_answer(b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\n{}") is None
    True
    """
    status, end = _STATUS.match(data), data.find(b"\r\n\r\n")
    if status is None or end < 0 or status[1] in _NO_BODY:
        return None
    head = data[: end + 2]
    plain = head.lower()
    lengths = _LENGTH.findall(plain)
    if len(lengths) != 1 or plain.count(b"content-length") != 1 or not _USUAL.fullmatch(plain):
        return None
    if len(data) != end + 4 + int(lengths[0]):
        return None
    return Response(int(status[1]), LazyHeaders(head[:-2]), data[end + 4 :])
