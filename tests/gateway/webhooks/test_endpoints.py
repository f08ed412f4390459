"""`/v1/webhooks`: endpoints of the key's own tenant, their secrets once, and no way across the wall."""

import asyncio

import httpx2
import pytest

from tests.gateway.running import Running
from tocsin.delivery.reports.store import PURPOSE, ReportStore
from tocsin.formats.sealed import Seal
from tocsin.gateway.webhooks.endpoints import MOST
from tocsin.model import topics
from tocsin.providers.standard_webhooks import secret_bytes

URL = "https://api.shop.example/tocsin"


async def test_an_endpoint_is_set_read_switched_and_removed_by_its_own_tenant_alone(gateway: Running) -> None:
    mine, theirs = gateway.bearing("default"), gateway.bearing("other")

    async def call(
        method: str, path: str = "", headers: dict[str, str] = mine, **body: object
    ) -> httpx2.Response:
        json = body or None
        return await gateway.client.request(method, f"/v1/webhooks{path}", json=json, headers=headers)

    made = await call("PUT", "/orders", url=URL, statuses=["sent", "dead"])
    assert made.status_code == 201, made.text
    secret = made.json()["secret"]
    assert made.json()["endpoint"]["statuses"] == ["dead", "sent"]
    store = ReportStore(gateway.gateway.redis, gateway.gateway.settings.topic_prefix)
    seal = Seal(gateway.gateway.secret, PURPOSE)
    stored = (await store.endpoints())["default/orders"]
    assert stored.secrets(seal) == (secret_bytes(secret),)
    rotated = await call("PUT", "/orders", url=URL, rotate=True)
    assert (rotated.status_code, rotated.json()["secret"] == secret) == (200, False)
    both = (await store.endpoints())["default/orders"].secrets(seal)
    assert both == (secret_bytes(rotated.json()["secret"]), secret_bytes(secret))
    assert secret not in (await call("GET")).text

    for method, path in (
        ("GET", "/orders"),
        ("DELETE", "/orders"),
        ("POST", "/orders/retry"),
        ("POST", "/orders/disable"),
    ):
        assert (await call(method, path, theirs)).status_code == 404, (method, path)
    assert (await call("GET", "", theirs)).json() == {"endpoints": []}
    reader = gateway.bearing("default", "webhooks:read")
    assert (await call("PUT", "/orders", reader, url=URL)).status_code == 403

    assert (await call("POST", "/orders/disable")).json()["state"] == "off"
    on = await call("POST", "/orders/retry", since="2026-01-31T09:30:00Z")
    assert on.json()["state"] == "on"
    state = await store.state("default/orders")
    assert (state.replay, state.from_ms, state.turn) == (1, 1_769_851_800_000, 2)
    assert (await call("DELETE", "/orders")).status_code == 204
    assert (await call("GET", "/orders")).status_code == 404
    audited = b" ".join([each.value or b"" for each in await gateway.records(topics.AUDIT)])
    assert audited.count(b"webhook_set") == 2
    for action in (b"webhook_switched_off", b"webhook_switched_on", b"webhook_removed"):
        assert action in audited
    assert secret.encode() not in audited
    await wrong_bodies(gateway, mine)


async def test_requests_at_once_neither_pass_the_limit_nor_answer_with_a_secret_that_does_not_count(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = gateway.bearing("default")

    async def put(name: str, **body: object) -> httpx2.Response:
        return await gateway.client.put(f"/v1/webhooks/{name}", json={"url": URL, **body}, headers=headers)

    assert (await put("n0")).status_code == 201
    with monkeypatch.context() as patch:
        read_together(patch, 4)
        turned = await asyncio.gather(*[put("n0", rotate=True) for _ in range(4)])
    told = [each.json()["secret"] for each in turned if each.status_code == 200]
    store = ReportStore(gateway.gateway.redis, gateway.gateway.settings.topic_prefix)
    kept = (await store.endpoints())["default/n0"].secrets(Seal(gateway.gateway.secret, PURPOSE))
    assert {secret_bytes(each) for each in told} <= set(kept), "who is answered 200 may verify with it"
    assert sorted(each.status_code for each in turned) == [200, 409, 409, 409]
    made = await asyncio.gather(*[put(f"n{number}") for number in range(1, 30)])
    assert sorted({each.status_code for each in made}) == [201, 409]
    assert len(await store.endpoints()) == MOST
    oldest = await gateway.client.post(
        "/v1/webhooks/n0/retry", json={"since": "1970-01-01T00:00:00Z"}, headers=headers
    )
    assert (oldest.status_code, (await store.state("default/n0")).replay) == (200, 1), "all of it again"


def read_together(patch: pytest.MonkeyPatch, count: int) -> None:
    """Let none of so many requests go on before all have read what is kept."""
    held, all_read = ReportStore.held, asyncio.Barrier(count)

    async def held_by_all(store: ReportStore, key: str) -> bytes:
        found = await held(store, key)
        await all_read.wait()
        return found

    patch.setattr(ReportStore, "held", held_by_all)


async def wrong_bodies(gateway: Running, headers: dict[str, str]) -> None:
    for name, body, field in (
        ("orders", {"url": "http://api.shop.example/"}, "url"),
        ("orders", {"url": "https://user:secret@api.shop.example/"}, "url"),
        ("orders", {"url": URL, "secret": "short"}, "secret"),
        ("orders", {"url": URL, "statuses": ["gone"]}, "statuses[0]"),
        ("orders", {"url": URL, "notifications": ["nothing"]}, "notifications[0]"),
        ("orders", {"url": URL, "give_up_s": 5}, "give_up_s"),
        ("-", {"url": URL}, "name"),
        ("orders", {"url": URL, "tenant": "other"}, "tenant"),
    ):
        answer = await gateway.client.put(f"/v1/webhooks/{name}", json=body, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
        assert "secret@" not in answer.text


@pytest.fixture
def gateway_topics() -> tuple[str, ...]:
    return ("audit",)
