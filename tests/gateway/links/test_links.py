"""Links through the gateway: where they lead, what is counted, and what only software did."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateway.running import SECRET, Running, running, settings_for
from tests.providers.samples import message
from tests.waiting import PATIENCE_S
from tocsin.app.examples import example_catalog
from tocsin.formats.codec import decode_receipt
from tocsin.formats.link_tokens import LinkTokens, TrackedLink
from tocsin.formats.marks import marked_of
from tocsin.gateway import links
from tocsin.gateway.gateway import Gateway, wall_ms
from tocsin.gateway.links import judge
from tocsin.gateway.links.judge import BURST, EARLY, EARLY_MS, PREFETCH, Bursts, software_behind
from tocsin.gateway.links.owners import Owners
from tocsin.gateway.links.recorder import Recorder
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
PERSON = {"user-agent": FIREFOX}
TOKENS = LinkTokens(SECRET.encode())
SENT = message("email", tenant="acme", user="u-1")
DAY_MS = 86_400_000


@pytest.fixture
async def tracking(
    kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    """Run a gateway whose tenant `acme` tracks; `other` does not. Clicks are judged when it closes."""
    monkeypatch.setattr(judge, "BURST_S", PATIENCE_S)
    catalog = tmp_path / "catalog"
    shutil.copytree(example_catalog(), catalog)
    tenant = yaml.safe_load((example_catalog() / "tenants/default.yaml").read_text())
    for name, wanted in (("acme", {"opens": True, "clicks": True}), ("other", {})):
        (catalog / f"tenants/{name}.yaml").write_text(yaml.safe_dump({**tenant, "tracking": wanted}))
    settings = settings_for(kafka, topic_prefix, redis_db, "", tmp_path)
    async with running(settings.model_copy(update={"catalog": catalog}), ("receipts",)) as found:
        judge_when_closed(found.gateway)
        yield found


def judge_when_closed(gateway: Gateway) -> None:
    """Let the recorder wait far longer than a test takes: it judges clicks when it closes."""
    bursts = Bursts(gateway.redis, gateway.settings.topic_prefix)
    owners, counts = Owners(gateway), gateway.meters.engagement
    links.running(gateway).recorder = Recorder(gateway.writer.write, owners.find, bursts, counts, PATIENCE_S)


def link(number: int = 1, url: str = "https://shop.example/a?b=ü", **fields: Any) -> TrackedLink:
    now_ms = wall_ms()
    made = TrackedLink(SENT.message_id, marked_of(SENT), url, number, now_ms - 2 * DAY_MS, now_ms + DAY_MS)
    return made._replace(**fields)


def path(found: TrackedLink) -> str:
    token = TOKENS.make(found)
    return f"/c/{token}" if found.number else f"/o/{token}.gif"


async def get(
    gateway: Running, address: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> Any:
    return await gateway.client.request(method, address, headers=PERSON if headers is None else headers)


async def receipts(gateway: Running) -> list[ReceiptEvent]:
    """Let the recorder write what waits, and read all receipts."""
    await links.running(gateway.gateway).recorder.close()
    found = await gateway.records("receipts")
    return [decode_receipt(RawRecord("receipts", 0, 0, 1, each.key, each.value, ())) for each in found]


async def test_clicks_and_openings_are_receipts_of_their_message_once(tracking: Running) -> None:
    answer = await get(tracking, path(link()))
    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/a?b=%C3%BC")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "no-store" in answer.headers["cache-control"]
    for agent in (FIREFOX, FIREFOX, "Mozilla/5.0", "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"):
        answer = await get(tracking, path(link(0, "")), {"user-agent": agent})
        assert answer.content.startswith(b"GIF89a")
        assert answer.headers["content-type"] == "image/gif"
        assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    found = await receipts(tracking)
    assert sorted((each.kind, each.reason, each.code) for each in found) == [
        ("clicked", "", ""),
        ("opened", "", ""),
        ("opened", "machine", "apple_proxy"),
    ]
    assert {(each.tenant, each.user) for each in found} == {("acme", "u-1")}
    assert {each.message_id for each in found} == {SENT.message_id}
    counts = tracking.gateway.meters.engagement
    assert (counts["opened", "person"], counts["opened", "repeated"]) == (1, 2)


async def test_a_scanner_that_follows_all_links_is_none_of_their_readers(tracking: Running) -> None:
    await asyncio.gather(*(get(tracking, path(link(number))) for number in range(1, 6)))
    found = await receipts(tracking)
    assert len(found) == 5
    assert {(each.reason, each.code) for each in found} == {("machine", BURST)}


async def test_what_counts_nothing_and_where_nothing_leads(tracking: Running) -> None:
    assert (await get(tracking, path(link()), method="HEAD")).status_code == 302
    assert (await get(tracking, path(link(0, "")), method="HEAD")).status_code == 200
    theirs = marked_of(message("email", tenant="other"))
    assert (await get(tracking, path(link(owner=theirs)))).status_code == 302, "it tracks no more"

    old = await get(tracking, path(link(url='https://shop.example/"><script>', expires_ms=1)))
    assert old.status_code == 410
    assert "location" not in old.headers
    assert "<script>" not in old.text
    assert "<strong>shop.example</strong>" in old.text
    assert "default-src 'self'" in old.headers["content-security-policy"]

    image = TOKENS.make(link(0, ""))
    for address in ("x", "https:%2F%2Fevil.example", "x?u=https://evil.example", image):
        answer = await get(tracking, f"/c/{address}")
        assert answer.status_code == 404
        assert "location" not in answer.headers
        assert "evil" not in answer.text
    forged = await get(tracking, "/o/forged.gif")
    assert (forged.status_code, forged.headers["content-type"]) == (200, "image/gif")
    assert await receipts(tracking) == []


def test_how_software_is_told() -> None:
    asked = link(decided_ms=1_000)
    late = 1_000 + EARLY_MS
    assert software_behind(asked, PERSON, late) == ""
    assert software_behind(asked, PERSON, late - 1) == EARLY
    assert software_behind(asked, PERSON, late - 1, live=False) == ""
    assert software_behind(asked._replace(number=0), PERSON, 1_001) == ""
    assert software_behind(asked, PERSON | {"sec-purpose": "prefetch;prerender"}, late) == PREFETCH
    assert software_behind(asked, {}, late) == "scanner"
