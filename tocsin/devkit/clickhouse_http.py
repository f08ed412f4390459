"""Serves the part of ClickHouse's HTTP interface that an ordinary client uses.

What differs from a server: every request is a context of its own (no sessions, so no temporary tables and no
`SET` that lasts), any user and password are accepted, answers are not compressed, and external tables are not
taken. All else is ClickHouse.
"""

import email.policy
import json
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from email.parser import BytesParser
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tocsin.devkit.clickhouse_coding import CodingError, decoder
from tocsin.devkit.clickhouse_engine import Engine, EngineError
from tocsin.devkit.clickhouse_statement import Insert, Statement, split_insert, statement

_CODE_HEADER = "X-ClickHouse-Exception-Code"
_TAG_HEADER = "X-ClickHouse-Exception-Tag"
_NOT_IMPLEMENTED = 48
# ClickHouse's exceptionCodeToHTTPStatus, the part that clients look at.
_STATUS = dict.fromkeys((36, 38, 41, 42, 43, 47, 53, 62, 72, 386), 400) | dict.fromkeys((60, 81, 218), 404)
_SYNTAX_ERROR = 62
_HEAD_BYTES = 256 * 1024  # ClickHouse's max_query_size: an insert's statement ends within it


def application(engine: Engine, scratch: Path) -> Starlette:
    """Build the server; bodies of inserts pass through files in `scratch`."""

    async def query(request: Request) -> Response:
        try:
            return await _answer(request, engine, scratch)
        except CodingError as error:
            return _refusal(EngineError(_unsupported(str(error))))
        except EngineError as error:
            return _refusal(error)

    routes = [Route("/ping", _ping), Route("/", query, methods=["GET", "POST"])]
    return Starlette(routes=routes)


async def _ping(_request: Request) -> Response:
    return PlainTextResponse("Ok.\n")


async def _answer(request: Request, engine: Engine, scratch: Path) -> Response:
    arguments = dict(request.query_params)
    if request.method == "GET":
        arguments["readonly"] = "2"
    if "decompress" in arguments:
        raise EngineError(_unsupported("decompress=1; use Content-Encoding"))
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        arguments |= _form_fields(request.headers["content-type"], await request.body())
        return await _execute(engine, scratch, arguments.get("query", ""), arguments)
    text = _text(request, arguments.get("query", ""))
    head = await _take(text, _HEAD_BYTES)
    split = split_insert(head.decode("latin-1"))  # one character a byte, whatever the rows hold
    if split and split[0].format != "Values":
        return await _insert(engine, scratch, split[0], head[split[1] :], text, arguments)
    return await _execute(engine, scratch, _utf8(head + await _take(text)), arguments)


async def _text(request: Request, in_url: str) -> AsyncIterator[bytes]:
    """Yield the statement and its rows as one text: what is in the URL, then the body, decoded."""
    if in_url:
        yield in_url.encode() + b"\n"
    decode = decoder(request.headers.get("content-encoding", ""))
    async for chunk in request.stream():
        yield decode(chunk)


async def _take(text: AsyncIterator[bytes], size: int = sys.maxsize) -> bytes:
    """Take chunks until there are `size` bytes or no more."""
    taken = bytearray()
    async for chunk in text:
        taken += chunk
        if len(taken) >= size:
            break
    return bytes(taken)


async def _insert(
    engine: Engine,
    scratch: Path,
    insert: Insert,
    first: bytes,
    rest: AsyncIterator[bytes],
    arguments: dict[str, str],
) -> Response:
    """Run an insert of any size: its rows pass through a file."""
    with tempfile.NamedTemporaryFile(dir=scratch) as rows:
        rows.write(first)
        async for chunk in rest:
            rows.write(chunk)
        rows.flush()
        head = Insert(_utf8(insert.head.encode("latin-1")), insert.format)
        return await _execute(engine, scratch, head.from_file(Path(rows.name)), arguments)


async def _execute(engine: Engine, scratch: Path, sql: str, arguments: dict[str, str]) -> Response:
    """Run one statement; a query is streamed unless the client waits for its end."""
    found = statement(sql, arguments)
    if found.streams and arguments.get("wait_end_of_query") != "1":
        return await _streamed(engine, found)
    if found.selects and arguments.get("wait_end_of_query") != "1":
        return await _filed(engine, scratch, found)
    answer = await run_in_threadpool(engine.run, found)
    kind = "read_rows" if found.answers else "written_rows"
    summary = {"X-ClickHouse-Summary": json.dumps({kind: str(answer.rows)})}
    return Response(answer.body, headers=summary | _headers(found))


async def _streamed(engine: Engine, found: Statement) -> Response:
    """Stream an answer. An error before its first block is a proper refusal, a later one ends the stream."""
    tag = secrets.token_hex(8)
    blocks = engine.stream(found)
    first = await run_in_threadpool(next, blocks, b"")
    return StreamingResponse(_guarded(first, blocks, tag), headers={_TAG_HEADER: tag} | _headers(found))


async def _filed(engine: Engine, scratch: Path, found: Statement) -> Response:
    """Send an answer of any size whose blocks do not join: it passes through a file."""
    with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as file:
        path = Path(file.name)
    try:
        await run_in_threadpool(engine.run, found.to_file(path))
    except EngineError:
        path.unlink()
        raise
    return FileResponse(path, headers=_headers(found), background=BackgroundTask(path.unlink))


def _guarded(first: bytes, blocks: Iterator[bytes], tag: str) -> Iterator[bytes]:
    """Yield the blocks, and an error in the midst of them in the form that clients look for."""
    try:
        yield first
        yield from blocks
    except EngineError as error:
        text = str(error).encode()
        mark = tag.encode()
        yield b"\r\n__exception__\r\n%b\r\n%b\n%d %b\r\n__exception__\r\n" % (mark, text, len(text), mark)


def _refusal(error: EngineError) -> Response:
    headers = {_CODE_HEADER: str(error.code)}
    return PlainTextResponse(f"{error}\n", _STATUS.get(error.code, 500), headers)


def _headers(found: Statement) -> dict[str, str]:
    """Tell how to read the answer; a statement without one has no format."""
    timezone = {"X-ClickHouse-Timezone": "UTC"}
    return timezone | {"X-ClickHouse-Format": found.answer_format} if found.answers else timezone


def _form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """Read the fields of a form, in which clients send what is too long for a URL."""
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    form = BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields = {}
    for part in form.iter_parts():
        disposition = part["content-disposition"].params
        if "filename" in disposition:
            raise EngineError(_unsupported("external tables"))
        content = part.get_payload(decode=True)
        fields[disposition["name"]] = content.decode() if isinstance(content, bytes) else ""
    return fields


def _utf8(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        msg = f"Code: {_SYNTAX_ERROR}. DB::Exception: the statement is not UTF-8"
        raise EngineError(msg) from error


def _unsupported(what: str) -> str:
    return f"Code: {_NOT_IMPLEMENTED}. DB::Exception: not supported by the embedded server: {what}"
