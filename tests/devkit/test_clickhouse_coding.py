"""Decoding of compressed bodies, however they are cut into chunks and frames."""

import gzip
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from tocsin.devkit.clickhouse_coding import CodingError, decoder

CODERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
}


@given(st.sampled_from(sorted(CODERS)), st.lists(st.binary(max_size=500), max_size=4), st.integers(1, 64))
def test_frames_in_any_chunks_give_the_body(coding: str, parts: list[bytes], step: int) -> None:
    body = b"".join(CODERS[coding](part) for part in parts)
    decode = decoder(coding)
    decoded = b"".join(decode(body[at : at + step]) for at in range(0, len(body), step))
    assert decoded == b"".join(parts)


@pytest.mark.parametrize("coding", [coding for coding in CODERS if coding])
def test_a_body_in_another_coding_is_refused(coding: str) -> None:
    with pytest.raises(CodingError, match=coding):
        decoder(coding)(b"this is plain text, whatever the header says" * 10)


def test_an_unknown_coding_is_refused() -> None:
    with pytest.raises(CodingError, match="snappy"):
        decoder("snappy")
