"""What is too many, too large or too slow is shed before it costs; the end of a process loses nothing."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import uvicorn

from sources.topics import TopicAdmin, TopicPlan
from tests.gateway.raw_http import exchanged
from tests.gateway.running import read_all, settings_for
from tests.serving import serving
from tests.waiting import PATIENCE_S, until
from tocsin.gateway import connections
from tocsin.gateway.connections import HEAD_BYTES, HEADERS, guarded

GET = b"GET /x HTTP/1.1\r\nhost: gateway.test\r\n"


async def _app(scope: dict[str, object], receive: object, send: object) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})  # type: ignore[operator]  # of ASGI
    await send({"type": "http.response.body", "body": b"ok"})  # type: ignore[operator]  # of ASGI


@contextlib.asynccontextmanager
async def listening(most: int = 100, head_s: float = 10) -> AsyncIterator[int]:
    """Serve a small application; gives the port."""
    config = uvicorn.Config(_app, http=guarded(most, head_s), lifespan="off", log_level="critical")
    async with serving(uvicorn.Server(config)) as port:
        yield port


async def sent(port: int, *parts: bytes) -> bytes:
    """Send parts one by one, and read what comes until the end."""
    return await exchanged(port, parts, 0.01)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([GET, b"x: " + b"a" * HEAD_BYTES, b"a" * 10], b"431"),
        ([GET + b"x: " + b"a" * HEAD_BYTES + b"\r\n\r\n"], b"431"),
        ([GET + b"".join(b"x: a\r\n" for _ in range(HEADERS + 1)) + b"\r\n"], b"431"),
        ([b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\n\r\n"], b"431"),
        ([b"this is no request\r\n\r\n"], b"400"),
        ([GET + b"connection: close\r\n\r\n"], b"200"),
    ],
)
async def test_a_large_or_wrong_head_is_refused(parts: list[bytes], status: bytes) -> None:
    async with listening() as port:
        answer = await sent(port, *parts)
    assert answer.startswith(b"HTTP/1.1 " + status)
    if status != b"200":
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == int(status)


async def test_a_slow_head_is_cut_off_and_a_prompt_one_served() -> None:
    before = connections.shed["slow"]
    async with listening(head_s=0.15) as port:
        slow = [asyncio.create_task(sent(port, GET, *[b"x: y\r\n"] * 60)) for _ in range(20)]
        await asyncio.sleep(0.05)
        assert (await sent(port, GET + b"connection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await asyncio.wait_for(asyncio.gather(*slow), PATIENCE_S) == [b""] * 20
    assert connections.shed["slow"] == before + 20


@pytest.mark.parametrize("rest", [b"content-length: 9\r\n\r\nab", b"\r\n"])
async def test_what_follows_an_answer_and_is_no_request_holds_no_connection(rest: bytes) -> None:
    """Empty lines, or the body of a request that was answered without it, end the wait for the next one."""
    async with listening(head_s=0.15) as port:
        assert (await sent(port, GET + rest, b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_one_connection_too_many_is_told_when_to_come_back() -> None:
    async with listening(most=3) as port:
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        answer = await sent(port)
        for _, writer in kept:
            writer.close()
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in answer


@pytest.mark.e2e
def test_processes_share_a_port_and_end_in_order(
    kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path
) -> None:
    """Two processes; one dies and is started again; SIGTERM ends all with exit code 0."""
    settings = settings_for(kafka, topic_prefix, redis_db, "", tmp_path)
    TopicAdmin(kafka, topic_prefix).create(TopicPlan(settings.partitions), ["events"])
    env = {
        **os.environ,
        "TOCSIN_KAFKA": kafka,
        "TOCSIN_TOPIC_PREFIX": topic_prefix,
        "TOCSIN_REDIS": redis_db,
        "TOCSIN_SECRET": settings.secret.get_secret_value(),
        "TOCSIN_CATALOG": str(settings.catalog),
        "TOCSIN_STATE_DIR": str(settings.state_dir),
    }
    words = [sys.executable, "-m", "tocsin.cli.main", "gateway", "--port=0", "--workers=2", "--json"]
    process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        address = json.loads(process.stdout.readline())["address"]
        until(lambda: _answers(address))
        (first, *_) = _children(process.pid)
        os.kill(first, signal.SIGKILL)
        until(lambda: len(_children(process.pid)) == 2 and first not in _children(process.pid))
        until(lambda: _answers(address))
    finally:
        process.terminate()
        code = process.wait(PATIENCE_S)
        process.stdout.close()
    assert code == 0
    assert read_all(settings, "events") == []


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}livez", timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        time.sleep(0.1)
        return False


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]
