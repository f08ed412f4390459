"""Who calls: no handler runs without a valid key, whatever the request; Redis away, and shared limits."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import ModuleType

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.running import Running
from tests.waiting import PATIENCE_S
from tocsin.delivery.redis_client import open_client
from tocsin.formats.sealed import Seal
from tocsin.gateway import app as frame
from tocsin.gateway import rates, signing
from tocsin.gateway.app import Application
from tocsin.gateway.auth import KEYS_HEADER
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.key_admin import KeyAdmin, Made
from tocsin.gateway.key_copy import KeyCopy
from tocsin.gateway.key_store import KeyStore
from tocsin.gateway.keys import PURPOSE, KeyRing, hashed

SECRET = b"a secret of the tests of the gateway"


class Reached:
    """Counts what reaches a handler."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []

    async def handler(self, call: Call) -> Answer:
        self.calls.append((call.tenant, await call.raw_body()))
        return Answer(200, {"tenant": call.tenant})

    def part(self) -> ModuleType:
        made = ModuleType("part")
        made.ENDPOINTS = (  # type: ignore[attr-defined]  # as a sub-package has it
            Endpoint("POST", "/act", self.handler, "Act.", scope="events:write"),
            Endpoint("GET", "/act", self.handler, "Act.", scope="events:write"),
            Endpoint("DELETE", "/act/{id}", self.handler, "Act.", scope="events:write"),
        )
        return made


@pytest.fixture
def reached() -> Reached:
    return Reached()


@pytest.fixture
async def client(gateway: Running, reached: Reached) -> AsyncIterator[httpx2.AsyncClient]:
    application = Application(gateway.gateway, (*frame.PARTS, reached.part()))
    transport = httpx2.ASGITransport(app=application)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway.test") as made:
        yield made


@pytest.fixture
def admin(gateway: Running) -> KeyAdmin:
    return KeyAdmin(KeyStore(gateway.gateway.redis, gateway.gateway.settings.topic_prefix), SECRET)


def signed(made: Made, body: bytes, *, at_s: float | None = None, nonce: str = "n" * 16, **other: str) -> str:
    """Sign a POST to /act; `other` replaces what is signed."""
    method, target = other.get("method", "POST"), other.get("target", "/act")
    at_s = time.time() if at_s is None else at_s
    secret = other.get("secret", made.secret)
    return signing.authorization(made.key.key_id, secret, method, target, body, int(at_s), nonce)


async def test_a_signed_request_passes_once_and_a_changed_one_never(
    gateway: Running, client: httpx2.AsyncClient, admin: KeyAdmin, reached: Reached
) -> None:
    made = await admin.create("shop", ["events:write"], gateway.gateway.clock_ms(), signs=True)
    await gateway.gateway.key_copy.refresh()
    body = b'{"a": 1}'

    async def post(authorization: str, content: bytes = body, target: str = "/act") -> int:
        answer = await client.post(target, content=content, headers={"authorization": authorization})
        return answer.status_code

    header = signed(made, body)
    assert await post(header) == 200
    assert await post(header) == 401  # replayed
    wrong = [
        await post(signed(made, body, nonce="m" * 16), content=b'{"a": 2}'),
        await post(signed(made, body, nonce="o" * 16), target="/act?x=1"),
        await post(signed(made, body, nonce="p" * 16, method="GET")),
        await post(signed(made, body, nonce="q" * 16, secret="x" * 43)),
        await post(signed(made, body, nonce="r" * 16, at_s=time.time() - 301)),
        await post(signed(made, body, nonce="s" * 16, at_s=time.time() + 360)),
        await post(f"Bearer tk_{made.key.key_id}_{made.secret}"),
    ]
    assert wrong == [401] * len(wrong)
    assert reached.calls == [("shop", body)]
    assert await post(signed(made, body, nonce="t" * 16, target="/act?x=1"), target="/act?x=1") == 200


async def test_a_nonce_is_refused_by_another_process_too(
    gateway: Running, client: httpx2.AsyncClient, admin: KeyAdmin, reached: Reached
) -> None:
    made = await admin.create("shop", ["events:write"], gateway.gateway.clock_ms(), signs=True)
    await gateway.gateway.key_copy.refresh()
    other = Application(gateway.gateway, (*frame.PARTS, reached.part()))  # with a memory of its own
    header = {"authorization": signed(made, b"")}
    transport = httpx2.ASGITransport(app=other)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway.test") as second:
        found = [(await each.post("/act", headers=header)).status_code for each in (client, second)]
    assert found == [200, 401]


async def test_rotation_overlaps_and_revocation_ends(
    gateway: Running, client: httpx2.AsyncClient, admin: KeyAdmin
) -> None:
    now_ms = gateway.gateway.clock_ms()
    first = await admin.create("shop", ["events:write"], now_ms)
    second = await admin.rotate(first.key.key_id, now_ms, 60_000)
    third = await admin.rotate(first.key.key_id, now_ms, 0)

    async def statuses() -> list[int]:
        await gateway.gateway.key_copy.refresh()
        return [
            (await client.get("/act", headers={"authorization": f"Bearer {each.secret}"})).status_code
            for each in (first, second, third)
        ]

    assert await statuses() == [401, 401, 200]  # without an overlap, the old ones end at once
    fourth = await admin.rotate(first.key.key_id, now_ms, 60_000)
    assert [each.until_ms for each in fourth.key.secrets] == [0, now_ms + 60_000]
    assert await statuses() == [401, 401, 200]
    await admin.revoke(first.key.key_id, now_ms)
    assert await statuses() == [401, 401, 401]


async def test_two_changes_at_once_lose_no_secret(gateway: Running, admin: KeyAdmin) -> None:
    made = await admin.create("shop", [], 1)
    changes = [admin.rotate(made.key.key_id, 1, 60_000) for _ in range(5)]
    results = await asyncio.gather(*changes, return_exceptions=True)
    won = [each for each in results if isinstance(each, Made)]
    held = await KeyStore(gateway.gateway.redis, gateway.gateway.settings.topic_prefix).find(made.key.key_id)
    assert won
    assert held is not None
    kept = {each.hash for each in held.key.secrets}
    assert {hashed(each.secret[len("tk_") + 16 + 1 :]) for each in won} <= kept
    assert all("somebody else" in str(each) for each in results if not isinstance(each, Made))


async def test_redis_away_keys_are_checked_by_the_local_copy_and_said_to_be(
    gateway: Running, client: httpx2.AsyncClient, admin: KeyAdmin, reached: Reached
) -> None:
    made = await admin.create("shop", ["events:write"], gateway.gateway.clock_ms())
    await gateway.gateway.key_copy.refresh()
    known = {"authorization": f"Bearer {made.secret}"}
    assert KEYS_HEADER not in (await client.get("/act", headers=known)).headers
    nobody = open_client("redis://127.0.0.1:1/0")
    copy = gateway.gateway.key_copy
    copy._store = KeyStore(nobody, "t:")  # noqa: SLF001 -- Redis goes away
    assert not await copy.refresh()
    copy._clock_ms = lambda: copy._fresh_ms + 7_999  # noqa: SLF001 -- so many seconds later
    found = await client.get("/act", headers=known)
    unknown = await client.get("/act", headers={"authorization": f"Bearer tk_{'0' * 16}_{'s' * 43}"})
    assert (found.status_code, found.headers[KEYS_HEADER]) == (200, "local-copy; age=7")
    assert (unknown.status_code, "retry-after" in unknown.headers) == (503, True)
    assert len(reached.calls) == 2
    await nobody.aclose()


async def test_a_start_without_redis_reads_the_sealed_file(gateway: Running, admin: KeyAdmin) -> None:
    made = await admin.create("shop", ["events:write"], 1)
    copy = gateway.gateway.key_copy
    await copy.refresh()
    file = gateway.gateway.settings.state_dir / "gateway" / "keys"
    assert file.stat().st_mode & 0o777 == 0o600
    assert made.key.key_id.encode() not in file.read_bytes()
    nobody = open_client("redis://127.0.0.1:1/0")

    async def started(secret: bytes) -> int:
        ring = KeyRing(Seal(SECRET, PURPOSE))
        await KeyCopy(ring, KeyStore(nobody, "t:"), file, secret, lambda: 1).start()
        return len(ring)

    assert await started(SECRET) == 1
    assert await started(b"another secret of 16 bytes") == 0
    *kept, last = file.read_bytes()
    file.write_bytes(bytes([*kept, last ^ 1]))
    assert await started(SECRET) == 0
    await nobody.aclose()


async def test_use_is_noted_when_the_gateway_ends(gateway: Running, admin: KeyAdmin) -> None:
    copy = gateway.gateway.key_copy
    copy.note_used("0123456789abcdef", 77)
    running = asyncio.create_task(copy.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    store = KeyStore(gateway.gateway.redis, gateway.gateway.settings.topic_prefix)
    assert await store.used() == {"0123456789abcdef": 77}


async def test_the_rate_of_a_key_is_shared_and_told(
    gateway: Running,
    client: httpx2.AsyncClient,
    admin: KeyAdmin,
    reached: Reached,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "_LEASE_S", PATIENCE_S)  # a process that gives Redis up has the whole rate
    made = await admin.create("shop", ["events:write"], gateway.gateway.clock_ms(), per_s=5)
    await gateway.gateway.key_copy.refresh()
    headers = {"authorization": f"Bearer {made.secret}"}
    other = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=Application(gateway.gateway, (reached.part(),))),
        base_url="http://gateway.test",
    )
    both = [each.get("/act", headers=headers) for each in (client, other) * 8]
    began_s = time.monotonic()
    answers = await asyncio.gather(*both)
    gained = 5 * (time.monotonic() - began_s)
    passed = [each for each in answers if each.status_code == 200]
    refused = [each for each in answers if each.status_code == 429]
    assert len(passed) + len(refused) == 16
    assert 4 <= len(passed) <= 6 + gained, "a second's requests, and what the bucket gained meanwhile"
    assert all(int(each.headers["retry-after"]) >= 1 for each in refused)
    assert len(reached.calls) == len(passed)
    await other.aclose()


_HEADERS = st.dictionaries(
    st.sampled_from(["authorization", "x-api-key", "cookie", "x-forwarded-for", "x-tenant"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=120),
    max_size=3,
)
_FORGED = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=90),
    st.builds(
        "Bearer tk_{}_{}".format,
        st.text("0123456789abcdef", min_size=16, max_size=16),
        st.text("as", min_size=43, max_size=43),
    ),
    st.builds(
        "{} {}".format, st.just(signing.SCHEME), st.text("keytimnocbdsgaure=, 0123456789", max_size=120)
    ),
)


async def test_no_request_without_a_valid_key_reaches_a_handler(
    gateway: Running, client: httpx2.AsyncClient, reached: Reached
) -> None:
    own = gateway.key("shop", "events:write")
    examples: list[tuple[str, str, dict[str, str], bytes]] = []

    @settings(max_examples=150, database=None)
    @given(
        st.sampled_from(["GET", "POST", "DELETE"]),
        _HEADERS,
        _FORGED,
        st.integers(0, len(own) - 1),
        st.binary(max_size=20),
    )
    def draw(method: str, headers: dict[str, str], forged: str, place: int, body: bytes) -> None:
        changed = own[:place] + ("0" if own[place] != "0" else "1") + own[place + 1 :]
        for text in (forged, f"Bearer {changed}", f"Bearer {own}x", f"bearer{own}", own):
            examples.append(
                (method, "/act/1" if method == "DELETE" else "/act", {**headers, "authorization": text}, body)
            )

    draw()
    statuses = {
        (await client.request(method, path, headers=headers, content=body)).status_code
        for method, path, headers, body in examples
    }
    assert len(examples) >= 500
    assert (statuses, reached.calls) == ({401}, [])
