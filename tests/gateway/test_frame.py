"""The frame: routes, callers, bodies, problems, and records that Kafka has before an answer goes out."""

import asyncio
import logging
from pathlib import Path
from types import ModuleType

import httpx2
import msgspec
import pytest

from tests.gateway.running import Running, running, served, settings_for
from tocsin.gateway import app as frame
from tocsin.gateway.app import Application
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.keys import bearer, new_id, new_secret
from tocsin.gateway.meters import OTHER
from tocsin.gateway.writer import Record


class Body(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    count: int = 0


async def _echo(call: Call) -> Answer:
    body = await call.body(Body)
    placed = await call.gateway.writer.write(
        Record("events", f"{call.tenant}/{body.name}".encode(), body.name.encode())
    )
    return Answer(202, {"tenant": call.tenant, "offset": placed.offset})


async def _fault(_call: Call) -> Answer:
    msg = "ada@example.org has no luck"
    raise KeyError(msg)


async def _story(call: Call) -> Answer:
    return Answer(200, dict(call.path))


def _part() -> ModuleType:
    made = ModuleType("part")
    made.ENDPOINTS = (  # type: ignore[attr-defined]  # as a sub-package has it
        Endpoint("POST", "/echo", _echo, "Echo.", scope="events:write", body=Body, max_bytes=100),
        Endpoint("GET", "/echo/{id}", _story, "Tell.", scope="notifications:read"),
        Endpoint("GET", "/fault", _fault, "Fail."),
    )
    return made


@pytest.fixture
async def small(gateway: Running) -> httpx2.AsyncClient:
    """Make a client of the same gateway with three endpoints of this file."""
    application = Application(gateway.gateway, (*frame.PARTS, _part()))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=application), base_url="http://gateway.test")


async def test_a_2xx_means_that_kafka_has_it(gateway: Running, small: httpx2.AsyncClient) -> None:
    answer = await small.post("/echo", json={"name": "ada"}, headers=gateway.bearing("shop"))
    assert (answer.status_code, answer.json()["tenant"]) == (202, "shop")
    assert [(each.key, each.value) for each in await gateway.records("events")] == [(b"shop/ada", b"ada")]


@pytest.mark.parametrize(
    ("body", "status", "field", "cure"),
    [
        (b"{", 400, "", "send a body that is JSON in UTF-8"),
        (b"{}", 422, "name", "give this field"),
        (b'{"name": 4}', 422, "name", "give a text"),
        (b'{"name": "a", "count": "x"}', 422, "count", "give a whole number"),
        (b'{"name": "a", "cuont": 1}', 422, "cuont", "leave this field away, or correct its name"),
        (b"[" * 90, 422, "", "give an object"),
        (b'{"name": "' + b"x" * 100 + b'"}', 413, None, None),
    ],
)
async def test_a_wrong_body_gets_a_problem_that_names_field_and_cure(
    gateway: Running, small: httpx2.AsyncClient, body: bytes, status: int, field: str | None, cure: str | None
) -> None:
    answer = await small.post("/echo", content=body, headers=gateway.bearing())
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, document["status"]) == (status, status)
    assert document["request_id"] == answer.headers["x-request-id"]
    if field is not None:
        (wrong,) = document["errors"]
        assert (wrong["field"], wrong["cure"]) == (field, cure)
        assert wrong["kind"]


async def test_no_handler_runs_without_a_valid_key_of_the_scope(
    gateway: Running, small: httpx2.AsyncClient
) -> None:
    stranger = bearer(new_id(), new_secret())
    own = gateway.key("shop", "events:write")
    forged = own[:-1] + ("A" if own[-1] != "A" else "B")
    wrong = ["", "Bearer", "Bearer x", f"Basic {own}", f"Bearer {stranger}", f"Bearer {forged}"]
    found = [
        (await small.post("/echo", json={"name": "a"}, headers={"authorization": text})).status_code
        for text in wrong
    ]
    unscoped = await small.post("/echo", json={"name": "a"}, headers=gateway.bearing("shop", "users:read"))
    assert (found, unscoped.status_code) == ([401] * len(wrong), 403)
    assert await gateway.records("events") == []


async def test_a_fault_tells_nothing_but_the_request_id(
    small: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "tocsin.gateway"):
        answer = await small.get("/fault", headers={"x-request-id": "a-request-of-mine"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] == "a-request-of-mine"
    assert "KeyError" in caplog.text
    assert "a-request-of-mine" in caplog.text
    assert "example.org" not in caplog.text + answer.text


async def test_paths_and_methods(gateway: Running, small: httpx2.AsyncClient) -> None:
    named = await small.get("/echo/n%201", headers=gateway.bearing())
    lost = await small.get("/nothing")
    wrong = await small.delete("/echo", headers=gateway.bearing())
    assert named.json() == {"id": "n 1"}
    assert (lost.status_code, lost.json()["title"]) == (404, "Not Found")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


async def test_kafka_away_is_503_and_never_202(tmp_path: Path, redis_db: str) -> None:
    settings = settings_for("127.0.0.1:1", "gone.", redis_db, "", tmp_path)
    settings = settings.model_copy(update={"kafka_options": {"message.timeout.ms": "200", "linger.ms": "1"}})
    async with running(settings) as found:
        application = Application(found.gateway, (*frame.PARTS, _part()))
        transport = httpx2.ASGITransport(app=application)
        async with httpx2.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
            headers = found.bearing()
            answers = await asyncio.gather(
                *[client.post("/echo", json={"name": "a"}, headers=headers) for _ in range(5)]
            )
            ready = await client.get("/readyz")
    assert {each.status_code for each in answers} == {503}
    assert all(int(each.headers["retry-after"]) > 0 for each in answers)
    assert ready.status_code == 503


async def test_only_configured_origins_may_call(gateway: Running) -> None:
    settings = gateway.gateway.settings.model_copy(update={"gateway_origins": ("https://shop.example",)})
    gateway.gateway.settings = settings
    transport = httpx2.ASGITransport(app=Application(gateway.gateway, (*frame.PARTS, _part())))
    asks = {"access-control-request-method": "POST"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway.test") as client:
        ours = await client.options("/echo", headers={"origin": "https://shop.example", **asks})
        theirs = await client.options("/echo", headers={"origin": "https://evil.example", **asks})
        lost = await client.get("/nothing", headers={"origin": "https://shop.example"})
    assert ours.status_code == theirs.status_code == 204
    assert "authorization" in ours.headers["access-control-allow-headers"]
    assert ours.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in theirs.headers
    assert lost.headers["access-control-allow-origin"] == "https://shop.example"
    assert lost.headers["content-security-policy"].startswith("default-src 'self'")


async def test_an_answer_of_our_server_for_no_page_is_counted_and_has_the_headers_of_pages(
    gateway: Running,
) -> None:
    counted, other = gateway.gateway.meters.requests, (OTHER, "404")
    before = counted[other]
    async with served(gateway.application) as address, httpx2.AsyncClient(base_url=address) as client:
        answer = await client.get("/nothing", headers={"origin": "https://shop.example"})
    assert (answer.status_code, answer.headers.get("vary")) == (404, "origin")
    assert counted[other] == before + 1
