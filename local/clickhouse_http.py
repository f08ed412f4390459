"""ClickHouse's HTTP interface over the engine, as much of it as an ordinary client uses.

What differs from a server: every request is a context of its own (no sessions, so no temporary tables and no
`SET` that lasts), any user and password are accepted, answers are not compressed, and external tables are not
taken. All else is ClickHouse.
"""

import email.policy
import json
import secrets
import tempfile
from collections.abc import Iterator
from email.parser import BytesParser
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from local.clickhouse_engine import Engine, EngineError
from local.clickhouse_statement import Insert, Statement, split_insert, statement

_CODE_HEADER = "X-ClickHouse-Exception-Code"
_TAG_HEADER = "X-ClickHouse-Exception-Tag"
_NOT_IMPLEMENTED = 48
# ClickHouse's exceptionCodeToHTTPStatus, the part that clients look at.
_STATUS = dict.fromkeys((36, 38, 41, 42, 43, 47, 53, 62, 72, 386), 400) | dict.fromkeys((60, 81, 218), 404)
_SMALL_BODY = 1 << 20


def application(engine: Engine, scratch: Path) -> Starlette:
    """Build the server; bodies of inserts pass through files in `scratch`."""

    async def query(request: Request) -> Response:
        try:
            return await _answer(request, engine, scratch)
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
    in_url = arguments.get("query", "")
    split = split_insert(in_url)
    if split and not in_url[split[1] :].strip():
        return await _insert(request, engine, scratch, split[0], arguments)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        arguments |= _form_fields(request.headers["content-type"], await request.body())
        return await _execute(engine, arguments.get("query", ""), arguments)
    body = await request.body()
    text = f"{in_url}\n".encode() * bool(in_url) + body
    return await _from_text(text, engine, scratch, arguments)


async def _from_text(text: bytes, engine: Engine, scratch: Path, arguments: dict[str, str]) -> Response:
    """Run what came as one text: a statement, or an insert with its rows behind it."""
    beginning = text[:_SMALL_BODY].decode("latin-1")  # one byte a character, whatever the rows hold
    split = split_insert(beginning)
    if split is None or split[0].format == "Values":
        return await _execute(engine, text.decode(), arguments)
    insert, start = split
    head = insert.head.encode("latin-1").decode()
    with tempfile.NamedTemporaryFile(dir=scratch) as rows:
        rows.write(memoryview(text)[start:])
        rows.flush()
        sql = Insert(head, insert.format).from_file(Path(rows.name), "")
        return await _execute(engine, sql, arguments)


async def _insert(
    request: Request, engine: Engine, scratch: Path, insert: Insert, arguments: dict[str, str]
) -> Response:
    """Run an insert whose statement is in the URL and whose rows are the body, of any size."""
    encoding = request.headers.get("content-encoding", "")
    with tempfile.NamedTemporaryFile(dir=scratch) as rows:
        async for chunk in request.stream():
            rows.write(chunk)
        rows.flush()
        try:
            sql = insert.from_file(Path(rows.name), encoding)
        except KeyError:
            raise EngineError(_unsupported(f"Content-Encoding {encoding}")) from None
        return await _execute(engine, sql, arguments)


async def _execute(engine: Engine, sql: str, arguments: dict[str, str]) -> Response:
    """Run one statement; a query is streamed unless the client waits for its end."""
    found = statement(sql, arguments)
    if found.streams and arguments.get("wait_end_of_query") != "1":
        return await _streamed(engine, found)
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


def _unsupported(what: str) -> str:
    return f"Code: {_NOT_IMPLEMENTED}. DB::Exception: not supported by the embedded server: {what}"
