"""The component in a real Chromium: live, read on every device, by keyboard, and after a restart."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests import browser
from tests.dashboards.web.test_browser import violations
from tests.gateway.running import running, settings_for
from tests.providers.valkey import free_port
from tests.serving import serving
from tocsin.app.settings import Settings
from tocsin.gateway.server import Server
from tocsin.providers.inbox import Entry, Inbox, InboxPolicy

CHROMIUM = browser.find()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found on the path (or in TOCSIN_TEST_CHROMIUM)"),
]
ROOT = "document.querySelector('tocsin-inbox').shadowRoot"
BADGE = f"({ROOT}.querySelector('.badge').hidden ? '' : {ROOT}.querySelector('.badge').textContent)"
TITLES = f"[...{ROOT}.querySelectorAll('li h3')].map((each) => each.lastChild.textContent)"
FOCUS = f"{ROOT}.activeElement"
SHOTS = os.environ.get("TOCSIN_TEST_SCREENSHOTS", "")
USER = "default/ann"
AT_MS = 1_764_360_000_000


@contextlib.asynccontextmanager
async def started(settings: Settings, port: int) -> AsyncIterator[None]:
    """Run a gateway process' worth on a fixed port."""
    async with (
        running(settings, ("profiles", "receipts")) as gateway,
        serving(Server(gateway.application, "off"), port),
    ):
        yield


def entry(name: str, title: str, body: str, url: str = "") -> Entry:
    return Entry(name, f"n-{name}", "gate_moved", "travel", title, body, AT_MS + ord(name), url)


async def shoot(page: browser.Page, name: str) -> None:
    if SHOTS:
        await page.shoot(Path(SHOTS) / f"{name}.png")


async def opened(page: browser.Page, address: str) -> None:
    await page.open(f"{address}/inbox/example?user={USER}", f"{ROOT}?.querySelector('.bell') != null")


async def titles(page: browser.Page, wanted: list[str]) -> None:
    await page.until(f"JSON.stringify({TITLES}) === {json.dumps(json.dumps(wanted, separators=(',', ':')))}")


async def test_a_bell_a_list_and_everything_live(
    kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path
) -> None:
    assert CHROMIUM is not None
    settings = settings_for(kafka, topic_prefix, redis_db, "", tmp_path)
    settings = settings.model_copy(update={"gateway_example": True})
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    async with (
        Redis.from_url(redis_db) as redis,
        browser.opened(CHROMIUM, tmp_path / "phone") as phone,
        browser.opened(CHROMIUM, tmp_path / "laptop") as page,
    ):
        inbox = Inbox(redis, InboxPolicy())
        hostile = entry("a", "<img src=x onerror=alert(1)>", "<b>not bold</b>", "javascript:alert(1)")
        await inbox.add(USER, hostile)
        await inbox.add(
            USER, entry("b", "Gate B12 is now A14", "Boarding begins at 13:10.", "https://example.org/t")
        )
        async with started(settings, port):
            await page.look(width=1280, height=800)
            await opened(page, address)
            await page.until("document.getElementById('user').selectedOptions[0]?.text === 'ann'")
            await page.until(f"{BADGE} === '2'")
            await shoot(page, "closed")
            await _opens_by_keyboard(page)
            await titles(page, ["Gate B12 is now A14", "<img src=x onerror=alert(1)>"])
            assert await page.js(f"{ROOT}.querySelectorAll('img, b').length") == 0, "texts stay texts"
            links = await page.js(f"[...{ROOT}.querySelectorAll('li a')].map((each) => each.href)")
            assert links == ["https://example.org/t"], "only addresses of the web become links"
            while (await inbox.counts(USER)).unseen:
                await asyncio.sleep(0.02)
            assert await violations(page) == []
            await shoot(page, "desktop")
            await page.look(dark=True, width=1280, height=800)
            assert await violations(page, "color-contrast") == []
            await shoot(page, "desktop-dark")

            await inbox.add(USER, entry("c", "Your flight is delayed", "New departure 14:20."))
            await titles(
                page, ["Your flight is delayed", "Gate B12 is now A14", "<img src=x onerror=alert(1)>"]
            )
            assert await page.text("#note") == "Click the bell."
            await page.until(f"{BADGE} === '3'")
            assert "Your flight is delayed" in await page.js(
                f"{ROOT}.querySelector('[role=status].spoken').textContent"
            )

            await phone.look(width=390, height=844)
            await opened(phone, address)
            await phone.until(f"{BADGE} === '3'")
            await phone.js(f"{ROOT}.querySelector('.bell').click()")
            await phone.until(f"{ROOT}.querySelectorAll('li').length === 3")
            await shoot(phone, "phone")
            await phone.js(f"{ROOT}.querySelector('[aria-label^=\"Mark as read: Gate\"]').click()")
            await page.until(f"{ROOT}.querySelectorAll('li.unread').length === 2 && {BADGE} === '2'")
            await phone.js(f"{ROOT}.querySelector('[aria-label^=\"Archive: <img\"]').click()")
            await titles(page, ["Your flight is delayed", "Gate B12 is now A14"])
            await _archived_are_found(phone)
            assert [*page.errors, *phone.errors] == [], "\n".join([*page.errors, *phone.errors])
            fetched = {url for url in page.requested if not url.startswith(("data:", "about:"))}
            assert all(url.startswith((address, address.replace("http", "ws"))) for url in fetched)

        await page.until(f"{ROOT}.querySelector('.status').textContent === 'Reconnecting…'")
        await shoot(page, "offline")
        await inbox.add(USER, entry("d", "Boarding closes soon", "Gate A14"))
        async with started(settings, port):
            await page.js("dispatchEvent(new Event('online'))")
            await titles(page, ["Boarding closes soon", "Your flight is delayed", "Gate B12 is now A14"])
            await page.until(f"{ROOT}.querySelector('.status').hidden")
            await page.js(f"{ROOT}.querySelector('.head .plain').click()")
            await page.until(f"{BADGE} === '' && {ROOT}.querySelectorAll('li.unread').length === 0")
            assert (await inbox.counts(USER)) == (0, 0)
            await page.js("document.querySelector('tocsin-inbox').setAttribute('lang', 'de')")
            assert await page.js(f"{ROOT}.querySelector('h2').textContent") == "Mitteilungen"
            assert await violations(page) == []


async def _opens_by_keyboard(page: browser.Page) -> None:
    await page.js(f"{ROOT}.querySelector('.bell').focus()")
    assert await page.js(f"{FOCUS}.getAttribute('aria-label')") == "Notifications, 2 unread"
    await page.press("Enter")
    await page.until(f"{FOCUS}?.id === 'title'")
    await page.until(f"{ROOT}.querySelectorAll('li').length === 2")
    await page.press("ArrowDown")
    assert await page.js(f"{FOCUS}.dataset.id") == "b"
    await page.press("ArrowDown")
    assert await page.js(f"{FOCUS}.dataset.id") == "a"
    await page.press("Escape")
    assert await page.js(f"{FOCUS}.className + {ROOT}.querySelector('.panel').hidden") == "belltrue"
    assert await page.js(f"{FOCUS}.getAttribute('aria-expanded')") == "false"
    await page.press("Enter")
    await page.until(f"!{ROOT}.querySelector('.panel').hidden")


async def _archived_are_found(page: browser.Page) -> None:
    await page.js(f"{ROOT}.querySelector('[data-state=unread]').click()")
    await titles(page, ["Your flight is delayed"])
    await page.js(f"{ROOT}.querySelector('[data-state=archived]').click()")
    await titles(page, ["<img src=x onerror=alert(1)>"])
    await page.js(f"{ROOT}.querySelector('[data-state=open]').click()")
    await titles(page, ["Your flight is delayed", "Gate B12 is now A14"])
