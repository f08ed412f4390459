"""Broadcasts over HTTP: what Kafka has after each answer, and what is refused."""

import gzip
from collections.abc import AsyncIterator, Sequence

import httpx2
import msgspec
import pytest

from sources.partitioner import partition_of
from tests.gateway.running import PARTITIONS, Running, Written
from tocsin.decision.broadcast_lists import Row, UserList
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.gateway.broadcasts import notes, upload
from tocsin.gateway.broadcasts.events import SOURCE
from tocsin.model.audit import AuditRecord
from tocsin.model.broadcast import owner_key
from tocsin.model.broadcast_list import LIST, Members, decode_members
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord

LIMITS = EventLimits(1 << 20, 0, 0, check_time=False)
NEWS = {"to": "everyone", "type": "flight.delayed", "id": "news-48"}


def event_of(record: Written) -> Event:
    return decode_event(RawRecord("events", record.partition, 0, 0, record.key, record.value, ()), LIMITS)


async def events(gateway: Running) -> list[Event]:
    return [event_of(one) for one in await gateway.records("events")]


async def members(gateway: Running) -> list[tuple[int, Members]]:
    found = await gateway.records("bulk")
    return [(one.partition, decode_members(one.value or b"")) for one in found]


def users_of(found: Sequence[tuple[int, Members]]) -> list[str]:
    return sorted(user for _, one in found for user in one.users)


async def ask(gateway: Running, body: object, tenant: str = "default", **headers: str) -> httpx2.Response:
    known = gateway.bearing(tenant) | headers
    return await gateway.client.post("/v1/broadcasts", json=body, headers=known)


async def put(
    gateway: Running, name: str, chunk: object, body: bytes, tenant: str = "default", **headers: str
) -> httpx2.Response:
    known = {**gateway.bearing(tenant), "content-type": "text/plain", **headers}
    return await gateway.client.put(f"/v1/broadcasts/{name}/users/{chunk}", content=body, headers=known)


async def post(
    gateway: Running, name: str, what: str, tenant: str = "default", **body: int
) -> httpx2.Response:
    known = gateway.bearing(tenant)
    return await gateway.client.post(f"/v1/broadcasts/{name}/{what}", json=body, headers=known)


async def test_a_broadcast_is_an_event_on_the_partition_of_its_owner(gateway: Running) -> None:
    given = {"notification": "flight_delayed", "channels": ["push"], "data": {"flight": "UA1"}, "rate": 70}
    given |= {"expires": "2099-01-01T00:00:00Z", "local_time": "2098-11-30T09:00", "missed": "skip"}
    answer = await ask(gateway, NEWS | given)
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted")
    (record,) = await gateway.records("events")
    event = event_of(record)
    assert record.partition == partition_of(owner_key("default", "news-48").encode(), PARTITIONS)
    assert (event.tenant, event.id, event.source, event.type) == (
        "default",
        "news-48",
        SOURCE,
        "flight.delayed",
    )
    assert event.broadcast is not None
    assert event.asked is not None
    assert (event.broadcast.segment, event.broadcast.rate, event.broadcast.skip_late) == ("*", 70, True)
    assert (event.asked.notification, event.asked.channels) == ("flight_delayed", ("push",))
    assert event.bulk
    (entered,) = [
        msgspec.json.decode(one.value or b"", type=AuditRecord) for one in await gateway.records("audit")
    ]
    assert (entered.action, entered.subject, entered.tenant) == ("broadcast_asked", "news-48", "default")


async def test_a_list_is_uploaded_in_chunks_and_started(gateway: Running) -> None:
    answer = await ask(gateway, NEWS | {"to": "list"})
    assert answer.json() == {"id": "news-48", "state": "uploading", "url": "/v1/broadcasts/news-48"}
    first = await put(gateway, "news-48", 0, b"ada\nbob\n")
    assert first.json() == {"chunk": 0, "users": 2}
    packed = gzip.compress(b'{"user": "eve"}\n')
    await put(
        gateway, "news-48", 7, packed, **{"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    )
    progress = await gateway.client.get("/v1/broadcasts/news-48", headers=gateway.bearing())
    assert progress.json()["upload"] == {"users": 3, "chunks": {"0": 2, "7": 1}}
    wrong = await post(gateway, "news-48", "start", users=4)
    assert (wrong.status_code, "3 users were uploaded" in wrong.json()["detail"]) == (409, True)
    assert (await post(gateway, "news-48", "start", users=3)).status_code == 202
    found = await members(gateway)
    assert users_of(found) == ["ada", "bob", "eve"]
    assert all(
        partition_of(f"default/{user}".encode(), PARTITIONS) == at for at, one in found for user in one.users
    )
    assert [one.closes for _, one in found].count(True) == PARTITIONS
    assert all(one.last for _, one in found if not one.closes)
    created, started = await events(gateway)
    assert created.broadcast is not None
    assert created.broadcast.segment == LIST
    assert msgspec.json.decode(started.data) == {"id": "news-48", "action": "start"}
    late = await put(gateway, "news-48", 1, b"late\n")
    assert (late.status_code, "closed" in late.json()["detail"]) == (409, True)
    assert (await post(gateway, "news-48", "start")).status_code == 202, "asked again after a lost answer"


async def test_a_chunk_that_ends_behind_the_start_is_not_acknowledged(gateway: Running) -> None:
    """The start looked at the chunks before this one began: its users may come too late."""
    await ask(gateway, NEWS | {"to": "list"})
    noted = notes.Notes(gateway.gateway.redis, gateway.gateway.settings.topic_prefix)

    async def body() -> AsyncIterator[bytes]:
        yield b"ada\n"
        await noted.start("default", "news-48")
        yield b"bob\n"

    known = {**gateway.bearing(), "content-type": "text/plain"}
    late = await gateway.client.put("/v1/broadcasts/news-48/users/0", content=body(), headers=known)
    assert (late.status_code, "closed while" in late.json()["detail"]) == (409, True)


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "SLICE_USERS", 2)


def effective(found: Sequence[tuple[int, Members]]) -> list[str]:
    """Return the users to whom the list goes, as the key groups take it."""
    lists, rows = [UserList() for _ in range(PARTITIONS)], list[tuple[UserList, Row]]()
    for partition, one in found:
        if row := lists[partition].take(one):
            rows.append((lists[partition], row))
    return sorted(user for known, row in rows if known.wants(row) for user in row.users)


async def test_two_uploads_of_a_chunk_at_once_do_not_mix(
    gateway: Running, small_slices: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "LEASE_MS", 120_000)
    await ask(gateway, NEWS | {"to": "list"})

    async def body() -> AsyncIterator[bytes]:
        yield b"a1\na2\na3\n"
        other = await put(gateway, "news-48", 0, b"b1\nb2\nb3\nb4\nb5\n")
        assert (other.status_code, "is under way" in other.json()["detail"]) == (503, True)
        assert 1 <= int(other.headers["retry-after"]) <= 120
        assert (await put(gateway, "news-48", 1, b"c1\n")).status_code == 200, "another chunk goes on"
        yield b"a4\n"

    known = {**gateway.bearing(), "content-type": "text/plain"}
    first = await gateway.client.put("/v1/broadcasts/news-48/users/0", content=body(), headers=known)
    assert first.json() == {"chunk": 0, "users": 4}
    assert effective(await members(gateway)) == ["a1", "a2", "a3", "a4", "c1"]
    assert (await put(gateway, "news-48", 0, b"b1\nb2\nb3\n")).status_code == 200, "the newest counts"
    assert effective(await members(gateway)) == ["b1", "b2", "b3", "c1"]


async def test_an_upload_that_slept_for_too_long_leaves_the_chunk_to_the_next(
    gateway: Running, small_slices: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(gateway, NEWS | {"to": "list"})
    monkeypatch.setattr(notes, "LEASE_MS", 0)

    async def body() -> AsyncIterator[bytes]:
        yield b"a1\na2\na3\na4\na5\n"
        assert (await put(gateway, "news-48", 0, b"b1\nb2\nb3\n")).status_code == 200
        yield b"a6\na7\na8\n"

    known = {**gateway.bearing(), "content-type": "text/plain"}
    late = await gateway.client.put("/v1/broadcasts/news-48/users/0", content=body(), headers=known)
    assert (late.status_code, "another upload" in late.json()["detail"]) == (409, True)
    assert effective(await members(gateway)) == ["b1", "b2", "b3"]
    assert (await post(gateway, "news-48", "start", users=3)).status_code == 202


async def test_a_chunk_that_was_refused_may_be_sent_again_at_once(gateway: Running) -> None:
    await ask(gateway, NEWS | {"to": "list"})
    assert (await put(gateway, "news-48", 0, b"ada\n\x00\n")).status_code == 422
    assert (await put(gateway, "news-48", 0, b"ada\n")).status_code == 200


async def test_users_may_be_named_in_the_request(gateway: Running) -> None:
    body = NEWS | {"to": {"users": ["ada", "bob", "eve"]}}
    assert (await ask(gateway, body)).json()["state"] == "accepted"
    found = await members(gateway)
    assert users_of(found) == ["ada", "bob", "eve"]
    assert sum(one.closes for _, one in found) == PARTITIONS
    assert [one.type for one in await events(gateway)] == ["flight.delayed", "tocsin.broadcast"]


async def test_a_chunk_that_breaks_off_or_has_a_fault_is_not_complete(gateway: Running) -> None:
    await ask(gateway, NEWS | {"to": "list"})
    broken = await put(gateway, "news-48", 0, b"ada\n\x00\n")
    assert (broken.status_code, broken.json()["errors"][0]["field"]) == (422, "line 2")
    refused = await post(gateway, "news-48", "start")
    assert (refused.status_code, "chunk 0 was not uploaded" in refused.json()["detail"]) == (409, True)
    assert await members(gateway) == []
    assert (await put(gateway, "news-48", 0, b"ada\n")).status_code == 200
    assert (await post(gateway, "news-48", "start")).status_code == 202


async def test_the_same_chunk_again_gives_the_same_records(gateway: Running) -> None:
    await ask(gateway, NEWS | {"to": "list"})
    for _ in range(2):
        await put(gateway, "news-48", 0, b"ada\nbob\n")
    found = await members(gateway)
    assert len(found) == 2 * PARTITIONS
    assert len({msgspec.json.encode(one) for _, one in found}) == PARTITIONS


async def test_the_same_request_again_is_the_same_broadcast(gateway: Running) -> None:
    body = {name: value for name, value in NEWS.items() if name != "id"}
    named = {"idempotency-key": "key of a shop"}
    answers = [await ask(gateway, body, **named) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    other = await ask(gateway, body | {"rate": 5}, **named)
    assert other.status_code == 409
    assert len({one.id for one in await events(gateway)}) == 1
    unnamed = [(await ask(gateway, body)).json()["id"] for _ in range(2)]
    assert unnamed[0] != unnamed[1]


async def test_it_is_paused_resumed_and_cancelled(gateway: Running) -> None:
    await ask(gateway, NEWS)
    for action in ("pause", "resume", "cancel"):
        assert (await post(gateway, "news-48", action)).status_code == 202
    records = await gateway.records("events")
    assert len({one.partition for one in records}) == 1, "Kafka keeps them in order"
    data = [msgspec.json.decode(event_of(one).data) for one in records[1:]]
    assert data == [{"id": "news-48", "action": action} for action in ("pause", "resume", "cancel")]
    entered = [
        msgspec.json.decode(one.value or b"", type=AuditRecord) for one in await gateway.records("audit")
    ]
    assert {one.action for one in entered} >= {"broadcast_pause_asked", "broadcast_cancel_asked"}


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"to": {"segment": "nobody"}}, "to.segment"),
    ({"to": {"segment": "a", "users": ["b"]}}, "to"),
    ({"to": {}}, "to"),
    ({"to": "all"}, "to"),
    ({"to": {"users": ["ada", "\x04x"]}}, "to.users[1]"),
    ({"notification": "unheard_of"}, "notification"),
    ({"type": "unheard.of"}, "type"),
    ({"type": ""}, "notification"),
    ({"send_at": "tomorrow"}, "send_at"),
    ({"expires": "2026-01-01"}, "expires"),
    ({"local_time": "9"}, "local_time"),
    ({"rate": 0}, "rate"),
    ({"channels": ["no channel"]}, "channels"),
    ({"data": [7]}, "data"),
    ({"id": "a/b"}, "id"),
    ({"speed": 3}, "speed"),
]


async def test_a_refusal_names_the_field_and_nothing_is_written(gateway: Running) -> None:
    for given, field in REFUSED:
        answer = await ask(gateway, NEWS | given)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
        assert answer.json()["errors"][0]["cure"]
    assert await gateway.records("events") == []


async def test_no_tenant_reaches_the_broadcasts_of_another(gateway: Running) -> None:
    """A key of another tenant finds nothing, a body cannot name another, and a list is of its tenant."""
    await ask(gateway, NEWS | {"to": "list"})
    before = len(await gateway.records("events"))
    named = await ask(gateway, NEWS | {"tenant": "default"}, tenant="other")
    assert named.status_code == 403
    for answer in (
        await put(gateway, "news-48", 0, b"mallory\n", tenant="other"),
        await post(gateway, "news-48", "start", tenant="other"),
        await post(gateway, "news-48", "cancel", tenant="other"),
        await gateway.client.get("/v1/broadcasts/news-48", headers=gateway.bearing("other")),
    ):
        assert answer.status_code in {404, 503}
    assert len(await gateway.records("events")) == before
    assert await gateway.records("bulk") == []


async def test_a_key_needs_the_scope(gateway: Running) -> None:
    known = gateway.bearing("default", "broadcasts:read")
    answer = await gateway.client.post("/v1/broadcasts", json=NEWS, headers=known)
    assert (answer.status_code, "broadcasts:write" in answer.json()["detail"]) == (403, True)


async def test_a_chunk_of_no_number_is_refused(gateway: Running) -> None:
    await ask(gateway, NEWS | {"to": "list"})
    for chunk in ("x", "-1", "1000", "0x1"):
        answer = await put(gateway, "news-48", chunk, b"ada\n")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "chunk")
