"""The quick reader of answers agrees with the parser, or leaves the answer to it."""

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.providers.http_answer import whole_answer


class Parsed:
    """What the parser makes of bytes: the oracle."""

    def __init__(self, data: bytes) -> None:
        self.headers: dict[str, str] = {}
        self.body, self.complete, self.failed, self.keeps = b"", 0, False, False
        self.parser = httptools.HttpResponseParser(self)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.failed = True

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1
        self.keeps = self.parser.should_keep_alive()


def agrees(data: bytes) -> bool:
    """Tell whether an answer was read; fails if the parser makes something else of it."""
    quick, parsed = whole_answer(data), Parsed(data)
    if quick is None:
        return False
    assert not parsed.failed
    assert parsed.complete == 1
    assert parsed.keeps
    assert (quick.status, quick.body) == (parsed.parser.get_status_code(), parsed.body)
    assert dict(quick.headers) == parsed.headers
    return True


USUAL = (
    b"HTTP/1.1 201 CREATED\r\nDate: Sat, 28 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 11\r\nConnection: keep-alive\r\nTwilio-Request-Id: RQ1\r\nX-Api: a\r\nX-Api: b\r\n\r\n"
)


def test_usual_answers_are_read() -> None:
    assert agrees(USUAL + b'{"sid":"1"}')
    assert agrees(b"HTTP/1.1 200 \r\ncontent-length:0\r\n\r\n")
    assert agrees(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nRetry-After: 7\r\n\r\nno")


@pytest.mark.parametrize(
    "data",
    [
        USUAL + b'{"sid":"1"',
        USUAL + b'{"sid":"1"}HTTP/1.1 200 OK\r\n',
        USUAL[:-2],
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
)
def test_unusual_ones_are_left_to_the_parser(data: bytes) -> None:
    assert whole_answer(data) is None


LINES = st.sampled_from(
    [
        b"Content-Length: 3",
        b"content-length:3 ",
        b"Content-Length: 03",
        b"Connection: keep-alive",
        b"connection: close",
        b"X-A: 1",
        b"x-a: \xe9 ",
        b"X-A:",
        b" folded",
        b"X Y: 1",
        b"Transfer-Encoding: chunked",
        b"X: a\nb",
        b"X: a\rb",
        b":x",
        b"Upgrade: h2c",
        b"nothing",
        b"X-Content-Length: 9",
        b"X: \x00",
        b"Trailer: a",
    ]
)


@settings(max_examples=400)
@given(
    st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.1 503 ", b"HTTP/1.1 304 No", b"HTTP/1.0 200 OK", b"HTTP/1.1 20 OK"]
    ),
    st.lists(LINES, max_size=5),
    st.binary(max_size=5),
)
def test_whatever_comes_is_read_as_the_parser_reads_it(first: bytes, lines: list[bytes], body: bytes) -> None:
    agrees(b"\r\n".join([first, *lines, b"", body]))


@given(st.binary(max_size=60))
def test_any_bytes_are_taken(data: bytes) -> None:
    agrees(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + data)
