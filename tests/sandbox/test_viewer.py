"""The viewer in a real Chromium: what a person sees, finds and does by keyboard."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests import browser
from tests.sandbox.box import Box, mail_document, push_document
from tests.waiting import PATIENCE_S

CHROMIUM = browser.find()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium found on the path (or in TOCSIN_TEST_CHROMIUM)"),
    pytest.mark.asyncio(loop_scope="module"),
]
PEOPLE = [
    {"user": "default/ada", "name": "Ada Lovelace", "addresses": ["+491511000001", "token-of-ada"]},
    {"user": "default/bob", "name": "Bob Bemer", "addresses": ["+491511000002", "token-of-bob"]},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[browser.Page]:
    assert CHROMIUM is not None
    async with browser.opened(CHROMIUM, tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: browser.Page, box: Box) -> AsyncIterator[browser.Page]:
    """Give the viewer, with two people known; afterwards nothing was logged or fetched elsewhere."""
    box.http.put("/people", json=PEOPLE)
    chromium.errors.clear()
    chromium.requested.clear()
    await chromium.look()
    await chromium.open(f"{box.url}/", ready="document.querySelector('.start')")
    yield chromium
    await chromium.leave()
    assert chromium.errors == []
    assert {url for url in chromium.requested if not url.startswith((box.url, "data:"))} == set()


async def rows(page: browser.Page) -> list[str]:
    found: list[str] = await page.js(
        "[...document.querySelectorAll('.row')].sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
        ".map((row) => row.querySelector('.what').innerText)"
    )
    return found


async def seen(page: browser.Page, count: int) -> None:
    await page.until(f"document.querySelectorAll('.row').length === {count}")


def send_one_of_each(box: Box) -> None:
    box.twilio(To="+491511000001", Body="Gate 12 → 14")
    box.fcm(push_document(token="token-of-ada"))
    box.sendgrid()
    box.fcm(push_document(token="token-of-bob", notification={"title": "Landed", "body": "Belt 4"}))


async def test_the_empty_viewer_says_what_to_do(page: browser.Page, box: Box) -> None:
    await page.until("document.querySelector('.start')")
    text = await page.text(".start")
    assert "Nothing has been sent yet" in text
    assert f"{box.url}/twilio" in text


async def test_messages_appear_live_newest_first(page: browser.Page, box: Box) -> None:
    send_one_of_each(box)
    await seen(page, 4)
    assert [row.split(" · ")[0] for row in await rows(page)] == [
        "Landed",
        "Gate change",
        "Boarding",
        "Gate 12 → 14",
    ]
    assert await page.text("#summary") == "4 messages"
    box.twilio(To="+491511000002", Body="One more")
    await seen(page, 5)
    assert (await rows(page))[0] == "One more"


HOLD = """(() => {
  const ask = window.fetch;
  window.fetch = async (path, ...more) => {
    const answer = await ask(path, ...more);
    if (path.startsWith('/sent?')) await new Promise((done) => { window.release = done; });
    return answer;
  };
})()"""
"""Let answers about the list wait, as on a busy machine, until the page calls `release`."""


async def test_a_message_that_comes_while_the_list_is_fetched_stays(page: browser.Page, box: Box) -> None:
    await page.js(HOLD)
    await page.press("1")
    await page.until("window.release")
    box.twilio(Body="In between")
    await seen(page, 1)
    await page.js("release()")
    await page.until("document.querySelector('#summary').textContent === '1 message'")
    await page.js("new Promise((done) => setTimeout(done, 0))")
    assert await rows(page) == ["In between"]


async def test_a_burst_that_comes_while_the_list_is_fetched_is_fetched_soon(
    page: browser.Page, box: Box
) -> None:
    await some_texts(page, box)
    await page.js("document.getElementById('messages').scrollTop = 740")
    await page.js(HOLD)
    await page.press("1")
    await page.until("window.release")
    parts = [{"to": [{"email": f"p{number}@example.com"}]} for number in range(60)]
    box.sendgrid(mail_document(personalizations=parts))
    await page.until("document.querySelector('#summary').textContent === '120 messages'")
    await page.js("{ const first = release; window.release = null; first(); }")
    await page.until("window.release")
    await page.js("release()")
    await page.until("document.querySelector('.space').offsetHeight === 120 * 74")


async def some_texts(page: browser.Page, box: Box) -> None:
    """Send 60 texts in portions that the feed carries: of a burst, the list is fetched a second later."""
    for sent in (30, 60):
        for number in range(sent - 30, sent):
            box.twilio(Body=f"Text {number}")
        await page.until(f"document.querySelector('.space').offsetHeight === {sent} * 74")


async def test_a_reader_further_down_keeps_his_place(page: browser.Page, box: Box) -> None:
    await some_texts(page, box)
    await page.js("document.getElementById('messages').scrollTop = 740")
    box.twilio(Body="One more")
    await page.until("document.querySelector('#summary').textContent === '61 messages'")
    assert await page.js("document.getElementById('messages').scrollTop") == 814
    parts = [{"to": [{"email": f"p{number}@example.com"}]} for number in range(200)]
    box.sendgrid(mail_document(personalizations=parts))
    await page.until("!document.getElementById('more-new').hidden")
    assert await page.text("#more-new") == "200 new messages"
    assert await page.js("document.getElementById('messages').scrollTop") == 814
    await page.js("document.getElementById('more-new').click()")
    await page.until("document.getElementById('messages').scrollTop === 0")
    await page.until("document.querySelector('.row .what').innerText.startsWith('Gate change')")


async def test_a_push_is_shown_on_a_lock_screen(page: browser.Page, box: Box) -> None:
    send_one_of_each(box)
    await page.press("2")
    await seen(page, 2)
    await page.press("j")
    await page.until("document.querySelector('.lock .card.chosen')")
    assert "Belt 4" in await page.text(".card.chosen")
    assert "Bob Bemer" in await page.text(".reader > header")


async def test_a_text_is_shown_in_its_thread_with_its_segments(page: browser.Page, box: Box) -> None:
    box.twilio(To="+491511000001", Body="First")
    box.twilio(To="+491511000001", Body="We’ve rebooked you " * 8)
    box.twilio(To="+491511000002", Body="For somebody else")
    await seen(page, 3)
    await page.press("j")
    await page.press("j")
    await page.until("document.querySelectorAll('.bubble').length === 2")
    bubbles = await page.js("[...document.querySelectorAll('.bubble')].map((each) => each.innerText)")
    assert len(bubbles) == 2
    assert "GSM-7 · 1 segment · 5" in bubbles[0]
    assert "UCS-2 · 3 segments · 152" in bubbles[1]
    assert await page.js("document.querySelectorAll('.bubble.chosen .meter i').length") == 3


async def test_a_template_is_shown_with_its_values(page: browser.Page, box: Box) -> None:
    form = {"To": "whatsapp:+491511000001", "From": "whatsapp:+15005550006", "Body": ""}
    values = {"ContentSid": "HX" + "d" * 32, "ContentVariables": '{"1":"<b>LH 2081</b>"}'}
    box.twilio(**form, **values)
    await seen(page, 1)
    await page.press("j")
    await page.until("document.querySelector('.whatsapp .bubble.chosen .value')")
    assert await page.text(".whatsapp .bubble.chosen .value") == "{{1}} <b>LH 2081</b>"
    assert "WhatsApp to +491511000001" in await page.text(".reader > header")


async def test_a_call_is_shown_with_what_is_read(page: browser.Page, box: Box) -> None:
    twiml = "<Response><Say language='de-DE'>Ihr Flug &lt;LH 2081&gt;</Say></Response>"
    box.call(To="+491511000001", Twiml=twiml)
    await seen(page, 1)
    await page.press("j")
    await page.until("document.querySelector('.screen.call blockquote')")
    assert await page.text(".screen.call blockquote") == "Ihr Flug <LH 2081>"
    assert "de-DE · 1 time · rings 60 s" in await page.text(".screen.call .how")


async def test_a_mail_is_shown_as_html_text_and_headers(page: browser.Page, box: Box) -> None:
    hostile = (
        "<p>Gate <b>12</b></p><script>parent.document.title = 'owned'</script>"
        f"<img src={box.url}/sendgrid/v3/mail/send>"  # a fetch would be counted as an invalid call
    )
    content = [{"type": "text/plain", "value": "Gate 12"}, {"type": "text/html", "value": hostile}]
    box.sendgrid(mail_document(content=content))
    await seen(page, 1)
    await page.press("j")
    await page.until("document.querySelector('.letter iframe')")
    assert await page.js("document.querySelector('.letter iframe').getAttribute('sandbox')") == ""
    await page.press("v")
    assert await page.text(".panel") == "Gate 12"
    await page.press("v")
    assert "List-Unsubscribe" in await page.text(".panel")
    await page.press("v")
    await page.until("document.querySelector('.letter iframe')")
    await asyncio.sleep(0.2)
    assert await page.js("document.title") == "Tocsin sandbox"
    assert box.http.get("/count").json()["invalid"] == []


async def test_a_page_left_behind_holds_no_connection(page: browser.Page, box: Box) -> None:
    """A browser has six connections for an address; a seventh visit still works."""
    for _ in range(7):
        await page.leave()
        await page.open(f"{box.url}/")
    box.twilio()
    await seen(page, 1)


async def test_a_message_chosen_after_the_sandbox_ended_says_so(page: browser.Page, box: Box) -> None:
    send_one_of_each(box)
    await seen(page, 4)
    await page.js("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    await page.js("document.querySelectorAll('.row')[2].click()")
    await page.until("document.querySelector('.none')?.innerText.includes('does not answer')")


async def test_markup_in_a_message_stays_text(page: browser.Page, box: Box) -> None:
    box.twilio(Body="<img src=x onerror=alert(1)><b>bold</b>")
    await seen(page, 1)
    await page.press("j")
    await page.until("document.querySelector('.bubble.chosen')")
    assert "<b>bold</b>" in await page.text(".bubble.chosen p")
    assert await page.js("document.querySelectorAll('.bubble img, .row img').length") == 0


async def test_a_person_is_found_by_name_and_then_alone(page: browser.Page, box: Box) -> None:
    send_one_of_each(box)
    await seen(page, 4)
    await page.press("/")
    assert await page.js("document.activeElement.id") == "search"
    await page.type("lovel")
    await page.until("document.querySelectorAll('#people [data-at]').length === 1")
    assert "Ada Lovelace" in await page.text("#people")
    await page.press("Enter")
    await seen(page, 3)
    assert "Ada Lovelace" in await page.text("#person")
    box.fcm(push_document(token="token-of-bob"))
    box.twilio(To="+491511000001", Body="To Ada")
    await seen(page, 4)
    await page.press("Escape")
    await seen(page, 6)


async def test_the_list_is_filtered_by_channel_status_and_provider(page: browser.Page, box: Box) -> None:
    send_one_of_each(box)
    box.fcm(push_document(token="dead-token-0001"))
    await seen(page, 5)
    for key, count in (("2", 3), ("3", 0), ("4", 1), ("5", 1), ("6", 0), ("1", 5)):
        await page.press(key)
        await seen(page, count)
    await choose(page, "status", "refused")
    await seen(page, 1)
    assert "UNREGISTERED" in await page.text(".row")
    await choose(page, "status", "any")
    await choose(page, "provider", "sendgrid")
    await seen(page, 1)
    await choose(page, "status", "bounced")
    await page.until("!document.querySelector('#empty').hidden")
    assert "No message matches" in await page.text("#empty")
    await page.js("document.querySelector('#empty button').click()")
    await seen(page, 5)


async def choose(page: browser.Page, select: str, value: str) -> None:
    await page.js(
        f"(() => {{ const it = document.getElementById('{select}'); it.value = '{value}';"
        " it.dispatchEvent(new Event('change')); })()"
    )


async def test_the_keyboard_goes_through_the_list(page: browser.Page, box: Box) -> None:
    send_one_of_each(box)
    await seen(page, 4)

    async def selected() -> Any:
        return await page.js("document.querySelector('.row[aria-selected=true]')?.ariaPosInSet ?? null")

    assert await selected() is None
    for key, position in (("j", "1"), ("ArrowDown", "2"), ("j", "3"), ("k", "2"), ("G", "4"), ("g", "1")):
        await page.press(key)
        assert await selected() == position
    await page.press("u")
    await page.until("!document.querySelector('#person').hidden")
    assert "Bob Bemer" in await page.text("#person")
    await page.press("?")
    assert await page.js("document.getElementById('help').open") is True
    await page.press("Escape")
    assert await page.js("document.getElementById('help').open") is False


async def test_the_inbox_shows_what_is_unread(page: browser.Page, box: Box) -> None:
    # Without a Redis the viewer draws no count it does not know.
    assert await page.js("fetch('/inbox?user=x').then((answer) => answer.json())") == {
        "entries": None,
        "unread": 0,
    }


async def test_a_narrow_window_shows_one_thing_at_a_time(page: browser.Page, box: Box) -> None:
    await page.look(width=390, height=844)
    send_one_of_each(box)
    await seen(page, 4)
    await page.js("document.querySelector('.row').click()")
    await page.until("document.querySelector('.phone')")
    visible = "getComputedStyle(document.querySelector('{}')).display !== 'none'"
    assert await page.js(visible.format(".column")) is False
    assert await page.js("document.documentElement.scrollWidth <= 390") is True
    await page.js("document.querySelector('.back').click()")
    assert await page.js(visible.format(".column")) is True
    assert await page.js(visible.format("#detail")) is False


async def test_the_theme_follows_the_system_and_can_be_chosen(page: browser.Page, box: Box) -> None:
    scheme = "getComputedStyle(document.documentElement).colorScheme"
    assert await page.js(scheme) == "light"
    await page.look(dark=True)
    assert await page.js(scheme) == "dark"
    await page.press("t")
    assert await page.js(scheme) == "light"
    await page.js("localStorage.clear()")


CONTRAST = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => { const [r, g, b] = rgb.slice(0, 3).map((value) => {
    const part = value / 255; return part <= .03928 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = (element) => { for (let at = element; at; at = at.parentElement) {
    const style = getComputedStyle(at);
    if (style.backgroundImage !== 'none') return null;
    const color = parse(style.backgroundColor);
    if (color.length < 4 || color[3] === 1) return color; if (color[3] > 0) return null; }
    return [255, 255, 255]; };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest('.hidden, .skip')) continue;
    const back = behind(element); if (!back) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(back)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return poor;
})()"""

STILL = "document.getAnimations().every((each) => each.playState !== 'running')"
"""Half-way from one colour to another, a text may be hard to read."""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_text_can_be_read(page: browser.Page, box: Box, dark: bool) -> None:
    await page.look(dark=dark)
    await page.until(STILL)
    assert await page.js(CONTRAST) == []
    send_one_of_each(box)
    box.fcm(push_document(token="dead-token-0001"))
    box.sendgrid(mail_document(personalizations=[{"to": [{"email": "bounce+1@example.com"}]}]))
    await seen(page, 6)
    for _ in range(6):
        await page.press("j")
        await page.until("document.querySelector('.reader')")
        await asyncio.sleep(0.3)
        await page.until(STILL)
        assert await page.js(CONTRAST) == []


async def test_everything_one_can_use_has_a_name(page: browser.Page, box: Box) -> None:
    send_one_of_each(box)
    await seen(page, 4)
    await page.press("j")
    await page.until("document.querySelector('.reader')")
    await page.call("Accessibility.enable")
    tree = await page.call("Accessibility.getFullAXTree")
    roles = {"button", "textbox", "combobox", "listbox", "option", "radio", "tab", "link", "searchbox"}
    used = [node for node in tree["nodes"] if not node["ignored"] and node["role"]["value"] in roles]
    assert len(used) > 15
    assert [node["role"]["value"] for node in used if not node.get("name", {}).get("value")] == []
    await page.call("Accessibility.disable")


async def test_a_hundred_thousand_messages_stay_quick(chromium: browser.Page, tmp_path: Path) -> None:
    """Few rows exist at a time, pages come as one scrolls, and a frame stays short."""
    from tests.sandbox.box import start

    fill(tmp_path / "sent.jsonl", 100_000)
    with start(tmp_path) as box:
        await chromium.look()
        await chromium.open(f"{box.url}/")
        await chromium.until("document.querySelector('#summary').textContent === '100,000 messages'")
        chosen = "document.querySelector('.row[aria-selected=true]')?.ariaPosInSet ?? 0"
        async with asyncio.timeout(PATIENCE_S):
            while int(await chromium.js(chosen)) <= 1000:
                await chromium.press("G")
        assert await chromium.js("document.querySelectorAll('.row').length") < 60
        drawn_ms = await chromium.js(
            "(() => { const list = document.getElementById('messages'); const began = performance.now();"
            " for (let at = 0; at < 50; at++) {"
            "  list.scrollTop = at * 500; list.dispatchEvent(new Event('scroll')); }"
            " return (performance.now() - began) / 50; })()"
        )
        assert drawn_ms < 200, "all rows would take seconds"
        await chromium.press("/")
        await chromium.type("user-4242")
        await chromium.until("document.querySelectorAll('#people [data-at]').length === 1")
        await chromium.press("Enter")
        await chromium.until("document.querySelector('#summary').textContent === '10 messages'")
        await chromium.leave()  # else it asks for a sandbox that is gone, and the next test reads the error


def fill(path: Path, count: int) -> None:
    """Write a log as a long run leaves it."""
    line = (
        '{{"at_ms":{at},"provider":"twilio","channel":"sms","recipient":"+49151{user:07d}",'
        '"message_id":"{at:032x}","provider_id":"","user":"default/user-{user}"}}\n'
    )
    with path.open("w") as log:
        log.writelines(line.format(at=1_790_000_000_000 + at, user=at % 10_000) for at in range(count))
