"""Apprise as an adapter: sent by its own plugins to local servers, and its failures classed by its log."""

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.providers.samples import leaks, outgoing
from tests.providers.scripted_http import Answer, Fault, ScriptedHttp, Step
from tests.providers.sending import built, sent_once
from tests.waiting import PATIENCE_S
from tocsin.errors import (
    About,
    Declined,
    DeliveryError,
    Misconfigured,
    RecipientGone,
    Rejected,
    SettingsError,
    Throttled,
    Transient,
    Unknown,
)
from tocsin.model.content import ChatContent
from tocsin.model.message import Target
from tocsin.providers.accounts import parse_accounts
from tocsin.providers.apprise_services import failure_of
from tocsin.providers.base import Provider, Receipt
from tocsin.providers.registry import vendors

CONTENT = ChatContent("wherefore art thou", "Gate B12 moved", "https://skylark.example/t")
SECRET = "s3cret-t0ken"  # of no service


def account(**fields: Any) -> Provider:
    """Build an adapter from an account."""
    return built({"vendor": "apprise", "channel": "telegram", **fields})


async def sent(
    step: Step, target: Target, path: str, content: ChatContent = CONTENT, **fields: Any
) -> tuple[ScriptedHttp, object]:
    """Send one message by Apprise to a local server; `{at}` in its URL is the server's address."""
    async with ScriptedHttp(step) as server:
        provider = account(url=path.replace("{at}", server.url.removeprefix("http://")), **fields)
        return server, await sent_once(provider, outgoing("telegram", content, target=target))


@pytest.mark.loopback
async def test_its_ntfy_plugin_sends_to_the_recipients_topic() -> None:
    server, receipt = await sent(Answer(200, b"{}"), Target("ann-42"), "ntfy://{at}/{to}?mode=private")
    assert receipt == Receipt("", "sent")
    [request] = server.requests
    shown = f"{request.path} {dict(request.headers)} {request.body.decode()}"
    assert "ann-42" in shown
    assert "wherefore art thou\nhttps://skylark.example/t" in shown.replace("\\n", "\n")
    assert "Gate B12 moved" in shown


MARKED_UP = ChatContent("<b>5 < 6</b> & *snake_case*", "T & C <now>", "")


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("", "<b>T &amp; C &lt;now&gt;</b>\r\n&lt;b&gt;5 &lt; 6&lt;/b&gt; &amp; *snake_case*"),
        ("?format=markdown", "*T & C <now>*\n<b>5 < 6</b> & \\*snake\\_case\\*"),
    ],
)
async def test_markup_in_a_text_is_shown_as_it_is_and_marks_nothing_up(
    form: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a value of an event could hide text, add a link, or make Telegram refuse the message."""
    async with ScriptedHttp(Answer(200, b'{"ok": true}')) as server:
        monkeypatch.setattr("apprise.plugins.telegram.NotifyTelegram.notify_url", f"{server.url}/bot")
        provider = account(url=f"tgram://123456789:abcdefg_hijklmnop/{{to}}{form}")
        sending = outgoing("telegram", MARKED_UP, target=Target("12315544"))
        assert await sent_once(provider, sending) == Receipt("", "sent")
    [request] = server.requests
    assert json.loads(request.body)["text"] == text


@pytest.mark.loopback
async def test_its_json_plugin_sends_to_the_accounts_own_address() -> None:
    own = Target("account", platform="account")
    server, _ = await sent(Answer(200), own, f"json://u:{SECRET}@{{at}}/alarm")
    [request] = server.requests
    assert request.path.rstrip("/") == "/alarm"
    assert json.loads(request.body)["title"] == "Gate B12 moved"
    server, _ = await sent(Answer(200), own, "json://{at}/{to}", to="team-1")
    assert server.requests[0].path.rstrip("/") == "/team-1"


ROWS: list[tuple[Step, type[DeliveryError], float | None]] = [
    (Answer(429), Throttled, 60),
    (Answer(503), Transient, None),
    (Answer(500), Transient, None),
    (Answer(401), Misconfigured, None),
    (Answer(410), RecipientGone, None),
    (Answer(404), Rejected, None),
    (Answer(400, b"wherefore art thou"), Rejected, None),
]


@pytest.mark.loopback
@pytest.mark.parametrize(("step", "kind", "wait_s"), ROWS)
async def test_a_no_is_classed_by_the_status_in_the_log(
    step: Step, kind: type[DeliveryError], wait_s: float | None, capfd: pytest.CaptureFixture[str]
) -> None:
    _, error = await sent(step, Target("ann-42"), f"json://u:{SECRET}@{{at}}/{{to}}")
    assert isinstance(error, DeliveryError)
    assert (type(error), error.retry_after_s) == (kind, wait_s)
    said = str(error) + "".join(capfd.readouterr())
    assert not leaks(said)
    assert SECRET not in said
    assert "ann-42" not in said


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("step", "words", "kind"),
    [
        (Answer(503), "the job ended with error=410", Transient),
        (Answer(400), "error: 429 in module 7", Rejected),
        (Fault.CLOSE, "Your card was refused: Connection refused", Unknown),
    ],
)
@pytest.mark.parametrize("url", ["json://{at}/{to}", "json://{at}/{to}?method=get"])
async def test_the_words_of_a_text_class_no_failure(
    url: str, step: Step, words: str, kind: type[DeliveryError]
) -> None:
    """Apprise logs the text, too. A text about an error 410 would block its recipient."""
    _, error = await sent(step, Target("ann-42"), url, ChatContent(words, words, ""))
    assert type(error) is kind


async def test_a_plugin_that_fails_itself_may_have_sent_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may fail at the answer. `Rejected` would say that nobody has the message."""

    def failing(*_: object, **__: object) -> bool:
        msg = "wherefore art thou"
        raise ValueError(msg)

    monkeypatch.setattr("apprise.plugins.custom_json.NotifyJSON.send", failing)
    error = await sent_once(account(url="json://h/{to}"), outgoing("telegram", CONTENT, target=Target("1")))
    assert isinstance(error, Unknown)
    assert error.code == "plugin"
    assert not leaks(str(error))


@pytest.mark.loopback
async def test_an_address_of_the_accounts_own_that_is_gone_blocks_no_user() -> None:
    _, error = await sent(Answer(410), Target("account", platform="account"), "json://{at}/alarm")
    assert type(error) is Misconfigured


@pytest.mark.loopback
async def test_a_server_that_is_away_was_not_called() -> None:
    provider = account(url="json://127.0.0.1:1/{to}")
    with pytest.raises(Transient) as caught:
        await provider.send(outgoing("telegram", CONTENT, target=Target("1")))
    assert caught.value.code == "no_connection"
    await provider.close()


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Failed to send Telegram notification to 1: Forbidden, error=403.", Rejected),
        ("Failed to send x notification: error=418.", Rejected),
        ("Socket Exception: Read timed out.", Unknown),
        (
            "A Connection error occurred sending JSON notification to h.\nSocket Exception: ('Broken pipe')",
            Unknown,
        ),
        ("Socket Exception: Failed to establish a new connection: [Errno 111] Connection refused", Transient),
        ("There were no targets", Rejected),
        ("Failed to send x notification to 1: unknown tag error=410, error=503.", Transient),
        ("Failed to send x notification: error=503.\nFailed to log out: error=401.", Transient),
        (
            "Socket Exception: Max retries exceeded with url: /refused?body=refused (Caused by"
            " ReadTimeoutError('Read timed out.'))",
            Unknown,
        ),
    ],
)
def test_what_the_log_says_of_other_failures(line: str, kind: type[DeliveryError]) -> None:
    assert type(failure_of(line.split("\n"))) is kind


@pytest.mark.parametrize("address", ["1,2", "a b", "a;b", "a\nb", "x" * 600, "{to}"])
async def test_an_address_is_one_address(address: str) -> None:
    provider = account(url="json://127.0.0.1:1/{to}")
    with pytest.raises(Rejected) as caught:
        await provider.send(outgoing("telegram", CONTENT, target=Target(address)))
    assert (caught.value.code, caught.value.about) == ("bad_address", About.RECIPIENT)
    await provider.close()


@pytest.mark.loopback
async def test_an_address_leads_to_no_other_path() -> None:
    server, _ = await sent(Answer(200), Target("../admin?x=1#y"), "json://{at}/chat/{to}")
    assert [request.path for request in server.requests] != ["/admin"]
    assert all("?x=1" not in request.path for request in server.requests)


async def test_who_has_no_place_for_an_address_declines() -> None:
    provider = account(url="json://127.0.0.1:1/team")
    with pytest.raises(Declined):
        await provider.send(outgoing("telegram", CONTENT, target=Target("1")))
    provider = account(url="json://127.0.0.1:1/{to}")
    with pytest.raises(Misconfigured):
        await provider.send(outgoing("telegram", CONTENT, target=Target("account", platform="account")))


async def test_calls_at_once_are_bounded_and_late_ones_classed() -> None:
    """Two threads: a third call waits for one of them; a slow one is unknown after its time."""
    at_once: list[int] = []
    running: list[int] = []
    patience, pause_s = threading.Event(), 0.05

    class Slow:
        body_maxlen = 100

        def notify(self, **_: object) -> bool:
            running.append(1)
            at_once.append(len(running))
            patience.wait(pause_s)
            running.pop()
            return True

    provider: Any = account(url="json://127.0.0.1:1/{to}", threads=2)
    provider._opened = lambda _: Slow()  # noqa: SLF001  # a service without a server
    sends = [provider.send(outgoing("telegram", CONTENT, target=Target("1"))) for _ in range(6)]
    assert len(await asyncio.gather(*sends)) == 6
    assert max(at_once) == 2
    provider.limits, pause_s = type(provider.limits)(timeout_s=0.01), PATIENCE_S
    with pytest.raises(Unknown):
        await provider.send(outgoing("telegram", CONTENT, target=Target("1")))
    patience.set()
    await provider.close()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"url": "nosuch://x"}, "names a service that Apprise does not know"),
        ({"url": "tgram://x"}, "is no URL that Apprise understands"),
        ({"url": "no url"}, "must be a URL of Apprise"),
        ({"url": "json://{to}/x"}, "recipients would choose the server"),
        ({"url": "json://h/{to}", "channel": "email"}, "must be a name of a channel for short texts"),
        ({"url": "json://h/{to}", "channel": "gate"}, "must be a name of a channel for short texts"),
    ],
)
def test_a_wrong_account_is_refused_at_the_start(fields: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        account(**fields)
    assert text in str(caught.value)


def test_without_the_package_the_start_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SettingsError, match=r"account main: .*pip install '\.\[apprise\]'"):
        account(url="json://127.0.0.1:1/{to}")


def test_the_account_names_its_channel() -> None:
    accounts = parse_accounts(
        {"accounts": {"a": {"vendor": "apprise", "channel": "pagerduty", "url": "json://h"}}},
        {},
        Path("p.yaml"),
    )
    [found] = accounts.accounts.values()
    assert vendors()["apprise"].channel_of(found) == "pagerduty"
