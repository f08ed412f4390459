"""The pages in a real Chromium over a real ClickHouse: what a person sees, finds and does by keyboard."""

import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from dashboards import migrate, rollups, store
from dashboards.queries import queries
from dashboards.query_file import BOARDS
from flows.simulation.page import page as simulation_page
from flows.simulation.simulation import simulate
from tests import browser
from tests.dashboards.web.crowd import LONG, MARKUP, TALE, fill
from tests.dashboards.web.served import served
from tests.decision.gate_world import HOUR
from tests.dropping_proxy import DroppingProxy
from tests.simulation.recorded import changed, request
from tests.simulation.test_small_histories import LANDED, SETTINGS, Script, recorded

CHROMIUM = browser.find()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found on the path (or in TOCSIN_TEST_CHROMIUM)"),
    pytest.mark.asyncio(loop_scope="module"),
]
DRAWN = "document.querySelector('.live.on, .live.off')"
STILL = f"(!document.querySelector('.live') || {DRAWN})"
CHOOSE = (
    "(() => {{ const field = document.getElementById('{}'); field.value = '{}';"
    " field.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
)
"""Chooses a value of a filter."""
FETCHED = "performance.getEntriesByType('resource').filter((one) => one.name.includes('/api/query/')).length"


def axe_source() -> str:
    """Read axe-core from the package that ships it."""
    spec = importlib.util.find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return (Path(spec.submodule_search_locations[0]) / "axe.min.js").read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[browser.Page]:
    assert CHROMIUM is not None
    async with browser.opened(CHROMIUM, tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(clickhouse_module_db: str) -> AsyncIterator[str]:
    """Serve the pages over a day of outcomes. They stay as they are, so that each is asked for once."""
    migrate.migrate(clickhouse_module_db)
    fill(clickhouse_module_db)
    with store.connect(clickhouse_module_db) as client:
        rollups.refresh(client)
    async with served(clickhouse_module_db, shared_s=60) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: browser.Page, site: str) -> AsyncIterator[browser.Page]:
    """Give a tab; afterwards nothing was logged, and nothing fetched elsewhere."""
    chromium.errors.clear()
    chromium.requested.clear()
    await chromium.look()
    yield chromium
    await chromium.js("localStorage.clear()")
    await chromium.leave()
    assert chromium.errors == []
    assert {url for url in chromium.requested if not url.startswith((site, "data:", "about:"))} == set()


async def violations(page: browser.Page, *rules: str) -> list[str]:
    """Let axe judge the page, by these rules or by all; names each violated rule and the elements.

    Of a table the first two rows are judged: the others are drawn alike. Frames hold no axe and are
    not asked: a message to one that is just replaced would be an error of the console.
    """
    if not await page.js("'axe' in window"):
        await page.js(axe_source() + ";0")
    chosen = {"runOnly": rules} if rules else {}
    options = json.dumps({"resultTypes": ["violations"], "iframes": False} | chosen)
    passes, broken = await page.js(
        f"axe.run({{ exclude: ['tbody tr:nth-child(n+3)'] }}, {options})"
        ".then((found) => [found.passes.length, found.violations"
        ".map((one) => `${one.id}: ${one.nodes.map((node) => node.target)}`)])"
    )
    assert passes >= (len(rules) or 15), "it has looked"
    return [str(each) for each in broken]


async def judge(page: browser.Page) -> None:
    """Find nothing that keeps people out: with a folded part open, in light and in dark."""
    await page.js("document.querySelectorAll('details').forEach((each, at) => { each.open = at === 0; })")
    assert await violations(page) == []
    await page.look(dark=True)
    assert await violations(page, "color-contrast") == []


@pytest.mark.parametrize("board", BOARDS)
async def test_each_board_shows_its_figures_accessibly(page: browser.Page, site: str, board: str) -> None:
    await page.open(f"{site}/{board}", DRAWN)
    shown = await page.js("[...document.querySelectorAll('[data-panel]')].map((each) => each.dataset.panel)")
    assert sorted(shown) == sorted(query.name for query in queries() if query.board == board)
    assert await page.js("document.querySelectorAll('.fault:not([hidden])').length") == 0
    assert await page.js("document.querySelectorAll('tbody tr, .value').length") > 0
    await judge(page)


@pytest.mark.parametrize("path", ["/rows/rows?rows=9", f"/story/{TALE}", "/story/user-4?kind=user"])
async def test_rows_and_stories_are_accessible(page: browser.Page, site: str, path: str) -> None:
    await page.open(site + path, STILL)
    await judge(page)


async def test_the_report_of_a_simulation_is_accessible(page: browser.Page, tmp_path: Path) -> None:
    """It is one file; nothing is fetched for it."""
    script = Script()
    for hour in (1, 5):
        script.event("flight.landed", hour * HOUR)
    script.event("nothing", 20 * HOUR)
    new = changed(tmp_path / "new", LANDED, LANDED.replace("inapp, email", "inapp, sms"))
    report = simulate(request(recorded(tmp_path / "history", script), SETTINGS, new))
    file = tmp_path / "report.html"
    file.write_text(simulation_page(report))
    await page.open(file.as_uri(), "document.querySelectorAll('svg').length")
    await judge(page)
    assert page.requested == [file.as_uri()]
    page.requested.clear()


async def test_what_nobody_knows_is_said(page: browser.Page, site: str) -> None:
    await page.open(f"{site}/story/nobody", STILL)
    assert "Nothing is known of nobody" in await page.text("h1")
    await judge(page)
    page.errors.clear()  # the browser notes the 404, which is meant


async def press_until(page: browser.Page, reached: str, most: int = 60) -> None:
    """Press Tab until what has the focus is what one looks for."""
    for _ in range(most):
        if await page.js(reached):
            return
        await page.press("Tab")
    raise AssertionError(await page.js("document.activeElement.outerHTML"))


async def test_from_a_number_to_its_rows_to_a_story_by_keyboard(page: browser.Page, site: str) -> None:
    await page.open(f"{site}/decisions", DRAWN)
    await press_until(page, "document.activeElement?.className === 'skip'")
    await page.press("Enter")
    await press_until(
        page, "document.activeElement?.matches('[data-panel] a[href*=\"suppressed\"]')", most=200
    )
    ring = "getComputedStyle(document.activeElement).outlineStyle"
    assert await page.js(ring) == "solid", "one sees where one is"
    await page.press("Enter")
    await page.until(f"location.pathname === '/rows/rows' && {DRAWN}")
    assert "status suppressed" in " ".join((await page.text(".chips")).split())
    await press_until(page, "document.activeElement?.matches('td.id a[title^=\"Story of 0\"]')")
    wanted = await page.js("document.activeElement.getAttribute('href')")
    await page.press("Enter")
    await page.until(f"location.pathname === {json.dumps(wanted.partition('?')[0])}")
    await page.until("document.readyState === 'complete' && document.querySelector('.steps')")
    assert "suppressed" in await page.text("h1")
    assert "rule limits" in await page.text(".steps")


async def test_a_story_tells_each_step_and_attempt(page: browser.Page, site: str) -> None:
    await page.open(f"{site}/story/{TALE}", STILL)
    told = await page.text("#stories")
    for part in (
        "held",
        "quiet hours",
        "Attempt 1 by sms through twilio",
        "429",
        "throttled",
        "Attempt 2",
        "opened",
    ):
        assert part in told
    title = await page.js("document.querySelector('.step time').title")
    assert "UTC" in title
    assert "for the user" in title


async def test_the_search_box_finds_what_one_pastes(page: browser.Page, site: str) -> None:
    await page.open(f"{site}/overview", DRAWN)
    await page.press("/")
    await page.type("ada")
    await page.press("Enter")
    await page.until("location.pathname === '/story/ada' && document.readyState === 'complete'")
    await page.until("document.querySelector('.steps')")
    assert "order_shipped" in await page.text("h1")


async def test_filters_are_in_the_address_and_follow_from_page_to_page(page: browser.Page, site: str) -> None:
    await page.open(f"{site}/overview", DRAWN)
    await page.until(
        f"[...document.getElementById('notification').options].some((each) => each.value === '{LONG}')"
    )
    await page.js(CHOOSE.format("channel", "sms"))
    await page.js(CHOOSE.format("range", "6h"))
    await page.until("location.search === '?range=6h&channel=sms'")
    await page.until("document.querySelector('.boards a[href=\"/delivery?range=6h&channel=sms\"]')")
    await page.until(
        "[...document.querySelectorAll('[data-panel=funnel] td:nth-child(2)')]"
        ".every((each) => each.textContent === 'sms')"
    )
    await page.js("document.querySelector('.boards a[href^=\"/delivery\"]').click()")
    await page.until(f"location.pathname === '/delivery' && {DRAWN}")
    assert (
        await page.js("document.getElementById('range').value + document.getElementById('channel').value")
        == "6hsms"
    )
    await page.js(CHOOSE.format("range", ""))
    await page.until(
        "location.search.startsWith('?channel=sms&from=20') || location.search.startsWith('?from=20')"
    )


async def test_an_answer_that_comes_late_does_not_undo_a_newer_choice(page: browser.Page, site: str) -> None:
    """The page of the first choice arrives after that of the second: its links are of no use any more."""
    await page.open(f"{site}/overview", DRAWN)
    await page.js("""(() => {
        const real = window.fetch;
        window.fetch = async (url, options) => {
            const answer = await real(url, options);
            if (!String(url).endsWith('/overview?channel=sms')) return answer;
            await new Promise((release) => { window.release = release; });
            const text = await answer.text();
            const handled = () => setTimeout(() => { window.handled = true; });
            return { ok: true, text: async () => { handled(); return text; } };
        };
    })()""")
    await page.js(CHOOSE.format("channel", "sms"))
    await page.until("window.release")
    await page.js(CHOOSE.format("range", "6h"))
    both = "document.querySelector('.boards a[href=\"/delivery?range=6h&channel=sms\"]')"
    await page.until(both)
    await page.js("window.release()")
    await page.until("window.handled")
    assert await page.js(f"{both} !== null")


async def test_a_refresh_changes_nothing_that_stayed_the_same(page: browser.Page, site: str) -> None:
    """No flicker: the elements stay, and the focus in a table with them."""
    await page.open(f"{site}/decisions", DRAWN)
    await page.js(
        "window.changes = 0; new MutationObserver((all) => { window.changes += all.length; }).observe("
        "document.querySelector('.grid'), { subtree: true, childList: true, characterData: true });"
        "document.querySelector('td a').focus(); window.before = " + FETCHED
    )
    await refresh(page)
    await page.until(f"{FETCHED} >= window.before + document.querySelectorAll('[data-panel]').length")
    await page.until("document.querySelector('.live.on')")
    assert await page.js("window.changes") == 0
    assert await page.js("document.activeElement.matches('td a')")


async def test_values_of_others_stay_text(page: browser.Page, site: str) -> None:
    await page.open(f"{site}/rows/rows?{urlencode({'user': MARKUP})}", DRAWN)
    assert await page.js(
        f"[...document.querySelectorAll('td')].some((each) => each.textContent === {json.dumps(MARKUP)})"
    )
    assert await page.js("document.querySelectorAll('td b').length") == 0


async def test_a_narrow_window_scrolls_tables_not_the_page(page: browser.Page, site: str) -> None:
    await page.look(width=390, height=844)
    for path in ("/overview", "/rows/rows?rows=20", f"/story/{TALE}"):
        await page.open(site + path, STILL)
        assert await page.js("document.documentElement.scrollWidth") <= 390


async def test_the_theme_follows_the_system_and_can_be_chosen(page: browser.Page, site: str) -> None:
    scheme = "getComputedStyle(document.documentElement).colorScheme"
    await page.open(f"{site}/overview", DRAWN)
    assert await page.js(scheme) == "light"
    await page.look(dark=True)
    assert await page.js(scheme) == "dark"
    await page.press("t")
    assert await page.js(scheme) == "light"
    await page.open(f"{site}/health", DRAWN)
    assert await page.js(scheme) == "light", "the choice stays"


async def refresh(page: browser.Page) -> None:
    """Pause and resume, which refreshes at once."""
    await page.press("p")
    await page.press("p")


async def test_clickhouse_away_is_said_in_each_panel_whose_rows_stay_until_it_is_back(
    page: browser.Page, site: str, clickhouse_module_db: str
) -> None:
    faults = "document.querySelectorAll('.fault:not([hidden])').length"
    with DroppingProxy(clickhouse_module_db, b"HTTP") as proxy:
        async with served(proxy.url) as address:
            await page.open(f"{address}/decisions", DRAWN)
            rows = await page.js("document.querySelectorAll('tbody tr').length")
            proxy.to_drop = 1_000_000
            await refresh(page)
            await page.until("document.querySelector('.live.off')")
            assert await page.js(faults) == await page.js("document.querySelectorAll('[data-panel]').length")
            assert "ClickHouse" in await page.text(".fault:not([hidden])")
            assert await page.js("document.querySelectorAll('tbody tr').length") == rows > 0
            proxy.to_drop = 0
            await refresh(page)
            await page.until("document.querySelector('.live.on')")
            assert await page.js(faults) == 0
            await page.open(f"{site}/health", DRAWN)  # else it asks the server that is gone
    page.errors[:] = [each for each in page.errors if "503" not in each]  # the browser notes each
    page.requested[:] = [each for each in page.requested if not each.startswith(address)]


async def test_a_token_opens_the_pages_in_the_browser(
    page: browser.Page, site: str, clickhouse_module_db: str
) -> None:
    token = "a-token-of-32-characters-or-more"
    waits = "document.activeElement?.id === 'token'"
    async with served(clickhouse_module_db, token) as address:
        await page.open(f"{address}/health?channel=sms", waits)
        assert await violations(page) == []
        await page.type("not the right token")
        await page.press("Enter")
        await page.until(f"document.getElementById('wrong') && {waits}")
        await page.type(token)
        await page.press("Enter")
        await page.until(f"location.pathname + location.search === '/health?channel=sms' && {DRAWN}")
        await page.open(f"{site}/health", DRAWN)  # else it asks the server that is gone
    page.errors[:] = [each for each in page.errors if "401" not in each]
    page.requested[:] = [each for each in page.requested if not each.startswith(address)]


async def test_an_axis_of_durations_has_ticks_of_a_clock(page: browser.Page, site: str) -> None:
    """Of 140 seconds Chart.js would make 20,000 ms steps: `20 s`, then `2 min`, then `2.3 min`."""
    await page.open(f"{site}/delivery", DRAWN)
    ticks = """import('/static/words.js').then(({ durationStep, durationTick }) =>
        [4, 70, 900, 140_000, 4e6, 3e8].map((highest) => {
            const step = durationStep(highest);
            const ticks = [...Array(Math.ceil(highest / step) + 1).keys()];
            return ticks.map((at) => durationTick(at * step, step)); }))"""
    assert await page.js(ticks) == [
        ["0", "1 ms", "2 ms", "3 ms", "4 ms"],
        ["0", "20 ms", "40 ms", "60 ms", "80 ms"],
        ["0", "200 ms", "400 ms", "600 ms", "800 ms", "1,000 ms"],
        ["0", "30 s", "60 s", "90 s", "120 s", "150 s"],
        ["0", "15 min", "30 min", "45 min", "60 min", "75 min"],
        ["0", "24 h", "48 h", "72 h", "96 h"],
    ]
    shown = (
        "Object.values(Chart.instances).flatMap((chart) => Object.values(chart.scales))"
        ".flatMap((scale) => scale.ticks.map((tick) => tick.label))"
        ".filter((label) => / (ms|s|min|h)$/.test(label))"
    )
    labels = await page.js(shown)
    assert labels
    assert [label for label in labels if "." in label] == [], "no fractions of a unit"


async def test_a_chart_has_its_figures_as_a_table(page: browser.Page, site: str) -> None:
    await page.open(f"{site}/overview", DRAWN)
    assert await page.js("document.querySelectorAll('canvas[role=img]').length") > 0
    said = await page.js("document.querySelector('[data-panel=stages] canvas').getAttribute('aria-label')")
    assert said.startswith("Stages: ")
    assert "the highest is 3" in said
    await page.js("document.querySelector('[data-panel=stages] summary').click()")
    await page.until("document.querySelectorAll('[data-panel=stages] tbody tr').length > 3")
    assert "admitted" in await page.text("[data-panel=stages] tbody")
