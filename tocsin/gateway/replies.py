"""Sends an answer as ASGI messages. Headers that every answer has are encoded once."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from starlette.types import Receive, Scope, Send

from tocsin.gateway.browsers import HEADERS
from tocsin.gateway.direct import direct_of
from tocsin.gateway.endpoints import NONE, Answer

_encode = msgspec.json.Encoder().encode
_Raw = list[tuple[bytes, bytes]]


def _raw(headers: Mapping[str, str]) -> _Raw:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


_COMMON_LINES = b"".join([b"%b: %b\r\n" % pair for pair in _raw(HEADERS)])
_BODILESS = frozenset({204, 304})


@lru_cache(64)
def _content_type(media_type: str) -> bytes:
    is_text = media_type.startswith("text/") and "charset=" not in media_type.lower()
    return (media_type + "; charset=utf-8" if is_text else media_type).encode("latin-1")


class Reply:
    """One answer, an ASGI application.

    Args:
        answer: what a handler answered.
        request_id: its header `x-request-id`.
        extra: further headers; those of the answer win.
    """

    __slots__ = ("_answer", "_body", "_extra", "_request_id")

    def __init__(self, answer: Answer, request_id: str, extra: Mapping[str, str] = NONE) -> None:
        body = answer.body
        self._answer = answer
        self._body = b"" if body is None else body if isinstance(body, bytes) else _encode(body)
        self._request_id = request_id
        self._extra = extra

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it: at once where it has no headers of its own and the server allows it, else by messages."""
        status, has_body = self._answer.status, self._answer.body is not None
        is_plain = has_body and status not in _BODILESS and not (self._extra or self._answer.headers)
        direct = direct_of(scope) if is_plain else None
        if direct is not None and direct.answered(status, self._lines(), self._body):
            return
        await send({"type": "http.response.start", "status": status, "headers": self._headers()})
        await send({"type": "http.response.body", "body": self._body})

    def _lines(self) -> bytes:
        """Write the headers of an answer that has none of its own."""
        return b"%bx-request-id: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n" % (
            _COMMON_LINES,
            self._request_id.encode("latin-1"),
            _content_type(self._answer.media_type),
            len(self._body),
        )

    def _headers(self) -> _Raw:
        answer = self._answer
        headers = _raw({**HEADERS, "x-request-id": self._request_id, **self._extra, **answer.headers})
        named = {name for name, _ in headers}
        if answer.body is not None and b"content-type" not in named:
            headers.append((b"content-type", _content_type(answer.media_type)))
        if answer.status not in _BODILESS and b"content-length" not in named:
            headers.append((b"content-length", b"%d" % len(self._body)))
        return headers
