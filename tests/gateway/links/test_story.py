"""A link from its template to the story: rendered, followed by a scanner and by a person, decided, told."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from dashboards import migrate, store
from sinks.clickhouse_store import ClickHouseLines
from tests.decision.gate_world import NOON, World, profile, said
from tests.gateway.links.test_links import FIREFOX, receipts
from tests.gateway.running import SECRET, Running, running, settings_for
from tocsin.catalog.loader import load
from tocsin.decision.effects import Decision
from tocsin.formats.codec import encode
from tocsin.gateway.gateway import wall_ms
from tocsin.model.content import EmailContent
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.render.renderer import Renderer
from tocsin.render.templates import load_templates

pytestmark = pytest.mark.integration
BASE = "http://gateway.test"
FILES = {
    "tenants/default.yaml": "categories: {news: {}}\ntracking: {opens: true, clicks: true}\nlimits: []\n",
    "notifications/hello.yaml": (
        "hello:\n  on: {type: hello}\n  category: news\n  channels: [email]\n"
        "  escalate: [{after: 10m, unless: clicked, channels: [sms]}]\n"
    ),
    "templates/hello/en/subject.j2": "Hello",
    "templates/hello/en/text.j2": "Hello",
    "templates/hello/en/sms.j2": "Hello",
    "templates/hello/en/html.j2": '<body><a href="https://shop.example/{{ data.key }}">Look</a></body>',
}


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Write a catalog whose mails escalate to a text unless a link is followed."""
    for name, text in FILES.items():
        file = tmp_path / "catalog" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "catalog"


@pytest.fixture
async def gateway(
    kafka: str, topic_prefix: str, redis_db: str, clickhouse_db: str, tmp_path: Path, catalog: Path
) -> AsyncIterator[Running]:
    """Run a gateway over all servers. Decisions are of the time of the events."""
    migrate.migrate(clickhouse_db)
    settings = settings_for(kafka, topic_prefix, redis_db, clickhouse_db, tmp_path)
    settings = settings.model_copy(update={"catalog": catalog, "clock": "stream"})
    async with running(settings, ("receipts",)) as found:
        yield found


async def test_a_link_of_a_mail_is_followed_and_the_story_tells_it(gateway: Running, catalog: Path) -> None:
    found = load(catalog)
    world = World("default", catalog=found)
    world.profile(profile())
    world.event("hello", event_id="order-1")
    (message,) = world.messages
    specs = {name: tenant.spec for name, tenant in found.tenants.items()}
    renderer = Renderer(load_templates(catalog / "templates"), specs, SECRET.encode(), gateway_url=BASE)
    content = renderer.render(message)
    assert isinstance(content, EmailContent)
    link, image = re.findall(rf'"({BASE}/[^"]+)"', content.html)

    for address, agent in ((image, "Mozilla/5.0"), (link, "Barracuda/1.0"), (link, FIREFOX)):
        answer = await gateway.client.get(address, headers={"user-agent": agent})
        assert answer.headers.get("location", "https://shop.example/k") == "https://shop.example/k"
    reported = await receipts(gateway)
    by_machine = [receipt for receipt in reported if receipt.reason == "machine"]
    (by_person,) = [receipt for receipt in reported if receipt.reason != "machine"]
    assert sorted(receipt.kind for receipt in by_machine) == ["clicked", "opened"]

    for receipt in by_machine:
        step = _report(world, receipt)
        assert said(step) == [(receipt.kind, "machine", "email")]
    assert len(world.timers) == 1, "software stops no escalation"
    assert ("cancelled", "answered", "sms") in said(_report(world, by_person))
    assert world.timers == {}

    shift_ms = wall_ms() - NOON
    lines = b"\n".join(encode(replace(each, at_ms=NOON + shift_ms)) for each in world.outcomes)
    url = gateway.gateway.settings.clickhouse
    await asyncio.to_thread(ClickHouseLines(lambda: store.connect(url)).insert, lines)
    told = await gateway.client.get("/v1/notifications/order-1", headers=gateway.bearing("default"))
    assert told.status_code == 200, told.text
    assert "clicked" in told.text
    theirs = await gateway.client.get("/v1/notifications/order-1", headers=gateway.bearing("other"))
    assert theirs.status_code == 404


def _report(world: World, receipt: ReceiptEvent) -> Decision:
    raw = RawRecord("receipts", 3, 9, NOON + 1, None, b"{}", ())
    return world.apply("ann", world.gate.on_receipt(world.record(), receipt, NOON + 1, raw))
