"""The pages in a real Chromium: what a person sees and does, by keyboard, on a phone and in the dark."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import browser
from tests.dashboards.web.test_browser import violations
from tests.gateway.people.test_pages import page_of, stop_link
from tests.gateway.people.test_users import ADA, Api, newest
from tests.gateway.running import Running, served

CHROMIUM = browser.find()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found on the path (or in TOCSIN_TEST_CHROMIUM)"),
]
SHOTS = os.environ.get("TOCSIN_TEST_SHOTS", "")
READY = "document.querySelector('main h1')"


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[browser.Page]:
    assert CHROMIUM is not None
    async with browser.opened(CHROMIUM, tmp_path / "chromium") as found:
        yield found


async def shoot(page: browser.Page, name: str) -> None:
    if SHOTS:
        await page.shoot(Path(SHOTS) / f"{name}.png", whole=True)


async def tick(page: browser.Page, value: str) -> None:
    """Reach a box by the Tab key, and press the space bar."""
    for _ in range(40):
        if await page.js(f"document.activeElement.value === '{value}'"):
            break
        await page.press("Tab")
    assert await page.js(f"document.activeElement.value === '{value}'"), value
    await page.press(" ")


async def test_a_person_decides_by_keyboard(people: Running, page: browser.Page) -> None:
    await Api(people)("PUT", "users/ada", ADA)
    async with served(people.application) as address:
        await page.look()
        await page.open(address + await page_of(people), READY)
        await shoot(page, "preferences-light")
        assert await violations(page) == []
        await page.look(dark=True)
        await shoot(page, "preferences-dark")
        assert await violations(page, "color-contrast") == []
        await page.look(width=360, height=740)
        await shoot(page, "preferences-phone")
        assert await page.js("document.documentElement.scrollWidth <= 360"), "nothing is cut off"
        assert await page.js(
            "[...document.querySelectorAll('.switch')].every((one) => one.offsetHeight >= 44)"
        )
        await tick(page, "email:flight_updates")
        await page.press("Enter")
        await page.until("document.querySelector('[role=status]')")
        await shoot(page, "preferences-saved")
        assert not await page.js(
            "document.querySelector('[value=\"email:flight_updates\"][type=checkbox]').checked"
        )
        kept = (await newest(people) or {})["preferences"]["categories"]
        assert kept == {
            "flight_updates": {"email": False, "push": True, "webpush": True, "inapp": True},
            "offers": {"email": True, "push": True},
        }
        await page.open(f"{address}{stop_link(people)}?lang=de", READY)
        await page.look(width=360, height=740)
        await shoot(page, "unsubscribe-phone")
        assert await violations(page, "color-contrast", "button-name") == []
        await page.js("document.querySelector('form').submit()")
        await page.until("document.querySelector('button.quiet')")
        await page.look()
        await shoot(page, "unsubscribed-light")
        assert (await newest(people) or {})["preferences"]["categories"]["offers"] is False
    assert page.errors == []
    assert {url for url in page.requested if not url.startswith(address)} <= {"about:blank"}
