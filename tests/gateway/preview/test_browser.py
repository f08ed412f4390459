"""The preview page in a real Chromium: what a writer of templates sees, edits and does by keyboard."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn

from tests import browser
from tests.dashboards.web.test_browser import violations
from tests.serving import serving
from tocsin.app.examples import example_catalog
from tocsin.gateway.preview.pages import PreviewPages
from tocsin.gateway.preview.workbench import Workbench

CHROMIUM = browser.find()
SHOTS = os.environ.get("TOCSIN_TEST_SHOTS", "")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found on the path (or in TOCSIN_TEST_CHROMIUM)"),
]
SHOWN = "document.body.dataset.busy === '' && document.querySelectorAll('#rows tr').length > 0"


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """Serve the page over a catalog folder; gives its address."""
    app = PreviewPages(Workbench(folder)).application()
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    async with serving(uvicorn.Server(config)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest_asyncio.fixture
async def page(tmp_path: Path) -> AsyncIterator[tuple[browser.Page, str, Path]]:
    assert CHROMIUM is not None
    folder = tmp_path / "catalog"
    shutil.copytree(example_catalog(), folder)
    async with served(folder) as address, browser.opened(CHROMIUM, tmp_path / "chromium") as found:
        yield found, address, folder


async def shoot(page: browser.Page, name: str) -> None:
    """Save a screenshot where somebody wants to look at it."""
    if SHOTS:
        await asyncio.sleep(0.5)  # frames paint
        await page.shoot(Path(SHOTS) / f"{name}.png", whole=True)


async def choose(page: browser.Page, selector: str, value: str) -> None:
    """Choose from a list, as a person does: the page hears of it."""
    await page.js(
        f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
        f" one.value = {json.dumps(value)};"
        " for (const kind of ['change', 'input']) one.dispatchEvent(new Event(kind, {bubbles: true})); })()"
    )


async def test_a_writer_sees_edits_and_corrects(page: tuple[browser.Page, str, Path]) -> None:
    tab, address, folder = page
    await tab.look(width=1440, height=1000)
    await tab.open(f"{address}/preview#flight_cancelled/email/en", SHOWN)
    await tab.until("document.querySelector('iframe')")
    assert "Cancelled: your flight" in await tab.text(".listed")
    frame = await tab.js("document.querySelector('iframe').getAttribute('sandbox')")
    assert frame == "", "no script, form or origin"
    await shoot(tab, "mail-desktop")
    assert await violations(tab) == []
    await tab.look(width=1440, height=1000, dark=True)
    await shoot(tab, "mail-dark")
    assert await violations(tab, "color-contrast") == []
    await tab.look(width=1440, height=1000)

    await tab.js("document.querySelector('#tab-email').focus()")
    await tab.press("ArrowRight")
    await tab.until(f"{SHOWN} && document.querySelector('.view.kind-sms')")
    assert await tab.js("document.activeElement.id") == "tab-sms"
    assert "GSM-7" in await tab.text(".under")
    await shoot(tab, "sms")

    data = json.loads(await tab.js("document.querySelector('#data').value"))
    data["flight"]["number_"] = data["flight"].pop("number")
    await choose(tab, "#data", json.dumps(data, indent=2))
    await tab.until("document.querySelector('#faults .bad')")
    faults = await tab.text("#faults")
    assert "templates/flight_cancelled/en/sms.j2" in faults
    assert "did you mean number_?" in faults
    await tab.until("document.querySelectorAll('.state.bad').length > 0")
    await shoot(tab, "missing")
    await choose(tab, "#data", "{")
    await tab.until("!document.querySelector('#data-fault').hidden")
    assert "This is not JSON" in await tab.text("#data-fault")

    (folder / "templates/flight_cancelled/en/sms.j2").write_text("Cancelled – {{ data.first_name }} Ж")
    await choose(tab, "#data", '{"first_name": "Zoe"}')
    await tab.until("document.querySelector('.bubble')?.innerText.startsWith('Cancelled')")
    await tab.until("document.querySelector('#measures').innerText.includes('UCS-2')")
    await tab.until("document.querySelector('#faults').innerText.includes('UCS-2 because of')")
    (folder / "notifications/offers.yaml").write_text("offer: {on: 1}")
    await tab.until("!document.querySelector('#mistakes').hidden")
    assert "notifications/offers.yaml:1" in await tab.text("#mistakes")
    assert await violations(tab) == []
    await shoot(tab, "mistakes")
    assert tab.errors == []
    assert {url for url in tab.requested if not url.startswith((address, "data:", "about:"))} == set()


async def test_the_keyboard_stays_where_it_is_while_files_are_saved(
    page: tuple[browser.Page, str, Path],
) -> None:
    """What is drawn anew takes the focus over: else a person starts again at the top of the page."""
    tab, address, folder = page
    await tab.open(f"{address}/preview#flight_cancelled/sms/en", SHOWN)
    file = folder / "templates/flight_cancelled/en/sms.j2"
    for number, held in enumerate(("tab-sms", "locale-en", "row-sms-en", "row-email-de")):
        await tab.js(f"document.getElementById('{held}').focus()")
        await tab.js("document.querySelector('#channels').firstChild.dataset.old = '1'")
        file.write_text(f"Cancelled, {number}")
        await tab.until("document.querySelector('#channels').firstChild.dataset.old === undefined")
        await tab.until(f"{SHOWN} && document.querySelector('.bubble').innerText === 'Cancelled, {number}'")
        assert await tab.js("document.activeElement.id") == held
    await tab.js("document.querySelector('#row-email-de').click()")
    await tab.until(f"{SHOWN} && document.querySelector('.view.kind-email')")
    assert await tab.js("document.activeElement.id") == "row-email-de"
    assert tab.errors == []


async def test_each_channel_shows_at_the_width_of_a_telephone(page: tuple[browser.Page, str, Path]) -> None:
    tab, address, _ = page
    await tab.look(width=390, height=844)
    await tab.open(f"{address}/preview#flight_delayed/push/de", SHOWN)
    for channel, kind in (("push", "push"), ("webpush", "push"), ("inapp", "inapp"), ("email", "email")):
        await tab.js(f"document.querySelector('#tab-{channel}').click()")
        await tab.until(
            f"{SHOWN} && document.querySelector('.view.kind-{kind}') && location.hash.includes('{channel}')"
        )
        assert await tab.js("document.documentElement.scrollWidth") <= 390, channel
        await shoot(tab, f"phone-{channel}")
    assert await violations(tab) == []
    await choose(tab, "#other", "de-AT")
    await tab.until(f"{SHOWN} && document.querySelector('#files').innerText.includes('flight_delayed/de/')")
    assert await tab.js("document.querySelector('#locale-de-AT').getAttribute('aria-checked')") == "true"
    assert tab.errors == []
