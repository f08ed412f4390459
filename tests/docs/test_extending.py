"""The worked examples of docs/extending.md are built from the page's own code blocks, and run."""

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType, ModuleType

import pytest

import tocsin.providers
from tests.decision.gate_world import CATALOG, HOUR, World, profile, said, sent
from tests.docs.repository import ROOT
from tests.providers.samples import PHONE, SteppingClock, leaks, outgoing
from tests.providers.scripted_http import ScriptedHttp, Step, json_answer
from tocsin.catalog.loader import check
from tocsin.decision import receipts, rules
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.rules.expiry import expiry
from tocsin.errors import DeliveryError, Misconfigured, RecipientGone, Rejected, Throttled, Unknown
from tocsin.providers import registry
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.base import Receipt
from tocsin.providers.registry import vendors

PAGE = (ROOT / "docs" / "extending.md").read_text()


def block(section: str, number: int = 0) -> str:
    """Return a Python block of a section."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return text.split("```python\n")[1 + number].split("```")[0]


def module(name: str, source: str, folder: Path) -> ModuleType:
    """Build a module from the source that the page shows."""
    found = ModuleType(name)
    path = folder / "example.py"
    path.write_text(source)
    exec(compile(source, str(path), "exec"), found.__dict__)
    return found


@pytest.fixture
def rule(tmp_path: Path) -> Iterator[ModuleType]:
    """The rule of the page, as the module it tells to write."""
    name = "tocsin.decision.rules.stale_events"
    sys.modules[name] = module(name, block("A rule"), tmp_path)
    yield sys.modules[name]
    del sys.modules[name]


def with_entry(built: ModuleType) -> Gate:
    """A gate whose order has the page's registry entry behind `expiry`, as the page says."""
    line = block("A rule", 1)
    entry = eval(line, {**vars(rules), "stale_events": built.stale_events})  # the page's own line
    place = [each.rule for each in rules.ORDER].index(expiry) + 1
    return Gate(CATALOG, GatePolicy(), (*rules.ORDER[:place], entry, *rules.ORDER[place:]))


def test_a_rule_is_one_file_and_one_entry(rule: ModuleType) -> None:
    world = World()
    world.gate = with_entry(rule)
    world.profile(profile())
    assert sent(world.event("few", time=-HOUR + 1)) == ["email", "sms"]
    late = world.event("few", time=-HOUR)
    assert said(late) == [("expired", "too_late", "*")]
    assert late.outcomes[0].detail == {"age_ms": HOUR}
    assert sent(world.event("flight.cancelled", time=-HOUR)) == ["push", "sms", "email"], "critical ones pass"


def test_the_rule_holds_where_the_page_says_it_does(rule: ModuleType) -> None:
    """What was held is judged when due; a returned message is not asked."""
    world = World()
    world.profile(profile())
    message = world.event("few").messages[0]
    world.gate = with_entry(rule)
    assert said(world.event("few", send_at=2 * HOUR)) == [("held", "scheduled", "*")]
    world.advance(2 * HOUR)
    assert (world.outcomes[-1].status, world.outcomes[-1].channel) == ("expired", "*")
    assert len(world.retry(message, at=3 * HOUR).messages) == 1


def test_a_receipt_kind_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = eval(block("A receipt kind"), vars(receipts))  # the page's own line
    monkeypatch.setattr(receipts, "RECEIPTS", MappingProxyType({**receipts.RECEIPTS, **row}))
    world = World()
    world.profile(profile())
    push, sms, _ = world.event("flight.cancelled").messages
    world.retry(sms, due=HOUR)
    step = world.receipt("handled", notification_id=push.notification_id, message_id=push.message_id)
    assert said(step) == [("read", "", "*"), ("cancelled", "", "sms")]
    assert step.outcomes[1].detail == {"receipt": "handled"}
    assert world.timers == {}
    world.advance(2 * HOUR)
    assert [one.attempt for one in world.messages] == [1, 1, 1]


def test_a_receipt_of_another_notification_cancels_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    row = eval(block("A receipt kind"), vars(receipts))  # the page's own line
    monkeypatch.setattr(receipts, "RECEIPTS", MappingProxyType({**receipts.RECEIPTS, **row}))
    world = World()
    world.profile(profile())
    world.retry(world.event("flight.cancelled").messages[1], due=HOUR)
    assert said(world.receipt("handled", notification_id="another")) == [("read", "", "*")]
    world.advance(HOUR)
    assert world.messages[-1].attempt == 2


TEXTLINE = {"vendor": "textline", "key": "t0ps3cret"}
QUEUED = json_answer(202, {"id": "tl-1"})


@pytest.fixture
def textline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file of the page, in a folder that belongs to the package of providers."""
    (tmp_path / "textline.py").write_text(block("A provider"))
    monkeypatch.setattr(registry, "VENDORS", dict(vendors()))
    monkeypatch.setattr(tocsin.providers, "__path__", [*tocsin.providers.__path__, str(tmp_path)])
    yield
    sys.modules.pop("tocsin.providers.textline", None)


async def send_sms(step: Step) -> tuple[Receipt | DeliveryError, ScriptedHttp]:
    """Send one SMS by an account of the page's vendor to a gateway that takes this step."""
    async with ScriptedHttp(step) as server:
        document = {"accounts": {"phone": TEXTLINE | {"base_url": server.url}}}
        accounts = parse_accounts(document, {}, Path("providers.yaml"))
        provider = build(accounts, clock=SteppingClock())["phone"]
        try:
            return await provider.send(outgoing("sms")), server
        except DeliveryError as error:
            return error, server
        finally:
            await provider.close()


@pytest.mark.loopback
@pytest.mark.usefixtures("textline")
async def test_a_provider_is_one_file() -> None:
    receipt, server = await send_sms(QUEUED)
    assert receipt == Receipt("tl-1", "202")
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/messages")
    assert request.headers["authorization"] == "Bearer t0ps3cret"
    assert request.json()["to"] == PHONE


REFUSED: list[tuple[Step, type[DeliveryError], float | None]] = [
    (json_answer(422, {"error": f"{PHONE}: text has a forbidden word"}), Rejected, None),
    (json_answer(429, {"error": "too many"}, ("Retry-After", "7")), Throttled, 7),
    (json_answer(410, {"error": "no such number"}), RecipientGone, None),
    (json_answer(401, {"error": "no such key"}), Misconfigured, None),
    (json_answer(503, {}), Unknown, None),
]


@pytest.mark.loopback
@pytest.mark.usefixtures("textline")
@pytest.mark.parametrize(
    ("step", "kind", "wait_s"), REFUSED, ids=lambda value: getattr(value, "__name__", "")
)
async def test_the_provider_says_why_it_did_not_send(
    step: Step, kind: type[DeliveryError], wait_s: float | None
) -> None:
    error, _ = await send_sms(step)
    assert isinstance(error, DeliveryError)
    assert (type(error), error.retry_after_s) == (kind, wait_s)
    assert leaks(str(error)) == []


def add(path: Path, before: str, line: str) -> None:
    """Put a line of the page into a file, before a line of it."""
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, f"{line}\n{before}"))


def with_voice(folder: Path) -> None:
    """Copy the package and follow the section: the name, the file, the entry, a provider."""
    shutil.copytree(ROOT / "tocsin", folder / "tocsin", ignore=shutil.ignore_patterns("__pycache__"))
    model = folder / "tocsin/model"
    add(model / "statuses.py", '    ANY = "*"', f"    {block('A channel').strip()}")
    (folder / "tocsin/render/voice.py").write_text(block("A channel", 1))
    entry = block("A channel", 2).strip().removeprefix("{").removesuffix("}")
    add(model / "channels.py", "    Channel.WEBPUSH:", f"    {entry},")
    vendor = block("A provider").replace("Channel.SMS", "Channel.VOICE").replace("SmsContent", "VoiceContent")
    vendor = vendor.replace("Outgoing, VoiceContent", "Outgoing")
    (folder / "tocsin/providers/textline.py").write_text(
        vendor.replace("\n\nLIMITS", "\nfrom tocsin.render.voice import VoiceContent\n\nLIMITS", 1)
    )


def catalog_of_calls(folder: Path) -> Path:
    """A catalog with one notification, on the new channel only."""
    files = {
        "tenants/default.yaml": "categories: {travel: {required: true}}\n",
        "notifications/gate.yaml": "moved: {on: {type: gate.moved}, category: travel, channels: [voice]}\n",
        "templates/moved/en/call.j2": "Your gate is {{ data.gate }}.\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


async def python(folder: Path, *words: str) -> tuple[int | None, str]:
    """Run Python in a folder whose `tocsin` goes before the installed one."""
    paths = os.pathsep.join((str(folder), str(ROOT)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.loopback
async def test_a_channel_is_a_name_a_file_and_an_entry(tmp_path: Path) -> None:
    """An event becomes a call: checked, decided, rendered and sent by a copy that follows the page."""
    with_voice(tmp_path)
    catalog = catalog_of_calls(tmp_path / "catalog")
    async with ScriptedHttp(QUEUED) as server:
        ended = await python(tmp_path, "-m", "tests.docs.new_channel", str(catalog), server.url)
    assert ended == (0, "voice +12125550100 tl-1\n")
    assert [request.json()["text"] for request in server.requests] == ["Your gate is B12."]


def test_the_channel_is_refused_where_nobody_added_it(tmp_path: Path) -> None:
    [problem] = check(catalog_of_calls(tmp_path))
    assert "notifications/gate.yaml:1" in str(problem)
    assert "'webpush' or 'inapp'" in str(problem)
