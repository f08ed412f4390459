"""Decodes compressed request bodies as they come, for each `Content-Encoding` that a client may name.

A body may hold several frames behind each other; clients that compress block by block send it so.
"""

import zlib
from collections.abc import Callable
from typing import Any, Protocol

import lz4.frame
from backports import zstd

Decode = Callable[[bytes], bytes]


class CodingError(Exception):
    """Says that a coding is not one of `gzip deflate lz4 zstd`, or that a body is not in it."""


class _Frame(Protocol):
    """A decompressor of one frame, as zlib, lz4 and zstd all have it."""

    eof: bool
    unused_data: bytes | None

    def decompress(self, data: bytes) -> bytes:
        """Decode some of the frame."""
        ...


_FRAMES: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
    "deflate": zlib.decompressobj,
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
}


def decoder(coding: str) -> Decode:
    """Make a decoder for one body; feed it the body's chunks in order.

    Raises:
        CodingError: the coding is not known; the decoder raises it for a body that is not in it.
    """
    name = coding.lower()
    if name in {"", "identity"}:
        return lambda chunk: chunk
    if name not in _FRAMES:
        msg = f"Content-Encoding {name}"
        raise CodingError(msg)
    return _Frames(name, _FRAMES[name])


class _Frames:
    """Decodes frame after frame."""

    def __init__(self, name: str, start: Callable[[], _Frame]) -> None:
        self._name = name
        self._start = start
        self._frame = start()

    def __call__(self, chunk: bytes) -> bytes:
        try:
            return self._decode(chunk)
        except (zlib.error, zstd.ZstdError, RuntimeError) as error:  # lz4 raises the plain class
            msg = f"a body that is not {self._name}: {error}"
            raise CodingError(msg) from error

    def _decode(self, chunk: bytes) -> bytes:
        parts = []
        while chunk:
            if self._frame.eof:
                self._frame = self._start()
            parts.append(self._frame.decompress(chunk))
            chunk = self._frame.unused_data or b"" if self._frame.eof else b""
        return b"".join(parts)
