"""The story over HTTP: as `tocsin why --json` tells it, of the key's tenant, and 404 until it is there."""

import asyncio

import msgspec

from dashboards import store, story
from sinks.clickhouse_store import ClickHouseLines
from tests.gateway.running import Running
from tocsin.gateway.gateway import wall_ms
from tocsin.model.outcome import Outcome

NID, EVENT = "0123456789abcdef" * 2, "order-1"


def outcome(**fields: object) -> Outcome:
    made = Outcome(outcome_id="1" * 32, status="admitted", tenant="default", at_ms=wall_ms())
    named = {"user": "ada", "notification": "boarding", "notification_id": NID, "event_id": EVENT}
    return msgspec.structs.replace(made, **{**named, "channel": "inapp", "origin": "events/0/1", **fields})


async def test_the_story_of_ones_own_and_of_nobody_else(gateway_with_clickhouse: Running) -> None:
    gateway = gateway_with_clickhouse
    url = gateway.gateway.settings.clickhouse
    read = gateway.bearing("default", "notifications:read")
    unknown = await gateway.client.get(f"/v1/notifications/{'f' * 32}", headers=read)
    assert (unknown.status_code, unknown.headers["retry-after"]) == (404, "2")
    assert "last seconds" in unknown.json()["detail"]

    lines = ClickHouseLines(lambda: store.connect(url))
    await asyncio.to_thread(lines.insert, msgspec.json.encode(outcome()))
    with store.connect(url) as client:
        while not (stories := story.find(client, NID)):
            await asyncio.sleep(0.05)
    told = msgspec.json.decode(msgspec.json.encode(stories))
    for subject in (NID, EVENT):
        found = await gateway.client.get(f"/v1/notifications/{subject}", headers=read)
        assert found.status_code == 200, subject
        assert found.json()["stories"] == told
    cancelled = await gateway.client.delete(f"/v1/notifications/{EVENT}", headers=gateway.bearing())
    assert (cancelled.status_code, cancelled.json()["notifications"]) == (202, [NID])
    (order,) = await gateway.records("events")
    assert order.key == b"default/ada"

    foreign = gateway.bearing("shop")
    for subject in (NID, EVENT):
        for method in ("GET", "DELETE"):
            answer = await gateway.client.request(method, f"/v1/notifications/{subject}", headers=foreign)
            assert answer.status_code == 404, "another tenant's"
    by_user = await gateway.client.get("/v1/notifications/ada", headers=read)
    assert by_user.status_code == 404, "a user's stories are not told here"
    zone = await gateway.client.get(f"/v1/notifications/{NID}", params={"zone": "Mars"}, headers=read)
    assert zone.status_code == 422
    assert (await gateway.client.get(f"/v1/notifications/{NID}")).status_code == 401
