"""Writes the head of an HTTP/1.1 request. What an account's calls have in common is written once."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from tocsin.errors import Misconfigured
from tocsin.providers.http_connect import Origin

_VISIBLE = re.compile(r"[\x21-\x7e]+")
_FIELD_VALUE = re.compile(r"[\x20-\x7e\t\x80-\xff]*")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Target(NamedTuple):
    """A URL, taken apart: its origin, and the start of the request line and of the head."""

    origin: Origin
    path: bytes
    host_line: bytes


@lru_cache(maxsize=1_024)
def target_of(url: str) -> Target:
    """Take a URL apart.

    Raises:
        Misconfigured: it is none, or holds characters that must be escaped.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    host = parts.hostname or ""
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme not in ("http", "https") or not _VISIBLE.fullmatch(host + path) or "@" in parts.netloc:
        msg = "the URL of the request is not valid"
        raise Misconfigured(msg)
    tls = parts.scheme == "https"
    return Target(
        Origin(host, port or (443 if tls else 80), tls),
        path.encode(),
        f" HTTP/1.1\r\nhost: {parts.netloc}\r\nuser-agent: tocsin\r\n".encode(),
    )


def head_of(method: str, target: Target, headers: Mapping[str, str], length: int) -> bytes:
    """Write a request up to its body.

    Args:
        method: of the request.
        target: see `target_of`.
        headers: names and values; the host and the length of the body are added.
        length: of the body in bytes.

    Raises:
        Misconfigured: a header cannot be sent.
    """
    fields = _fields(tuple(headers.items()))
    return b"%b %b%b%bcontent-length: %d\r\n\r\n" % (
        method.encode(),
        target.path,
        target.host_line,
        fields,
        length,
    )


@lru_cache(maxsize=256)
def _fields(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Spell headers; an account's are the same for most of its calls."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers if _is_header(name, value)]).encode(
        "latin-1"
    )


def _is_header(name: str, value: str) -> bool:
    if _FIELD_NAME.fullmatch(name) and _FIELD_VALUE.fullmatch(value):
        return True
    msg = "a header of the request is not valid"
    raise Misconfigured(msg)
