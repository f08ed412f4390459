"""The worked examples of docs/extending.md are built from the page's own code blocks, and run."""

import re
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import get_args
from urllib.parse import parse_qsl

import httpx2
import pytest

import tocsin.providers
from flows.channels import used_channels
from tests.decision.gate_world import CATALOG, HOUR, NOON, World, profile, said, sent
from tests.docs.repository import ROOT
from tests.gateway.conftest import gateway, gateway_topics
from tests.gateway.running import Running, Written
from tests.providers.samples import PHONE, SteppingClock, leaks, outgoing
from tests.providers.scripted_http import ScriptedHttp, Step, json_answer
from tocsin.app.settings import Settings
from tocsin.catalog.loader import check, load
from tocsin.decision import broadcast_lists, broadcast_parts, on_timer, receipts, recurring, rules
from tocsin.decision import gate as gate_of_decisions
from tocsin.decision.effects import Decision
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.decision.rules.expiry import expiry
from tocsin.decision.timers import TimerKind
from tocsin.decision.user_state import HoldRef
from tocsin.decision.verdict import Verdict
from tocsin.errors import DeliveryError, Misconfigured, RecipientGone, Rejected, Throttled, Unknown
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.gateway.app import PARTS, Application
from tocsin.model.content import Outgoing
from tocsin.model.event import Event
from tocsin.model.raw import RawRecord
from tocsin.providers import registry
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.base import Receipt
from tocsin.providers.registry import vendors
from tocsin.render.check import check_templates
from tocsin.render.renderer import Renderer
from tocsin.render.templates import load_templates

__all__ = ["gateway", "gateway_topics"]
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


@pytest.fixture
def offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The timer kind of the page, registered as the page says."""
    built = module("tocsin.decision.offers", block("A timer kind"), tmp_path)
    names = {**{kind.name: kind.value for kind in TimerKind}, "OFFER": built.KIND}
    kinds = StrEnum("TimerKind", names)  # type: ignore[misc]  # mypy wants the names spelled out
    row = eval(block("A timer kind", 1), {"TimerKind": kinds, "offer_due": built.offer_due})
    monkeypatch.setattr(gate_of_decisions, "TimerKind", kinds)
    monkeypatch.setattr(gate_of_decisions, "TIMERS", MappingProxyType({**on_timer.TIMERS, **row}))
    return built


def with_offer(offers: ModuleType) -> World:
    """A world in which an offer to a user is open for an hour."""
    world = World()
    world.profile(profile())
    record = world.record()
    assert record is not None
    decision = Decision(record)
    offers.hold_offer(decision, record, HoldRef(NOON + HOUR, "n1", "offer", "news", "e1", "events/3/1"))
    world.apply("ann", decision)
    return world


def test_a_timer_kind_is_one_file_and_two_entries(offers: ModuleType) -> None:
    world = with_offer(offers)
    world.advance(HOUR - 1)
    assert world.outcomes == []
    world.advance(HOUR)
    assert said(world.steps[-1]) == [("expired", "too_late", "*")]
    assert world.outcomes[0].notification == "offer"
    after = world.record()
    assert after is not None
    assert after.holds == {}


def test_an_erasure_ends_the_new_kind_too(offers: ModuleType) -> None:
    world = with_offer(offers)
    assert ("suppressed", "erased", "*") in said(world.profile(None))
    assert world.timers == {}


def test_the_page_names_each_letter_that_is_taken() -> None:
    others = {broadcast_lists.TIMER, broadcast_parts.TIMER, recurring.TIMER}
    assert "The letters `b`, `l` and `r` are taken" in PAGE
    assert others == {"b", "l", "r"}
    assert others.isdisjoint(TimerKind)


def test_the_tables_of_the_rule_have_each_field_and_verdict() -> None:
    text = PAGE.split("\n## A rule\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| (\w+) \|", text, re.MULTILINE)[1:] == [*rules.Entry._fields, "verdict"]
    named = set(re.findall(r"^\| `(\w+)", text, re.MULTILINE))
    assert named == {"PASS", *(kind.__name__ for kind in get_args(Verdict) if kind is not type(None))}


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


CATALOG_OF_PAGES = {
    "notifications/gate.yaml": "moved: {on: {type: gate.moved}, category: travel, channels: [pager]}\n",
    "templates/moved/en/chat.j2": "Your gate is {{ data.gate }}.\n",
    "templates/moved/sample.json": '{"gate": "B12"}',
}


def catalog_of_pages(folder: Path, entry: str) -> Path:
    """A catalog with one notification, on the new channel only, and a tenant with the page's entry."""
    tenant = f"categories: {{travel: {{required: true}}}}\n{entry}"
    for name, text in {**CATALOG_OF_PAGES, "tenants/default.yaml": tenant}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def beeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's file, in a folder that belongs to the package of providers, and its catalog entry."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/beeper.py").write_text(block("A channel"))
    monkeypatch.setattr(registry, "VENDORS", dict(vendors()))
    monkeypatch.setattr(tocsin.providers, "__path__", [*tocsin.providers.__path__, str(tmp_path / "more")])
    section = PAGE.split("\n## A channel\n")[1]
    yield catalog_of_pages(tmp_path / "catalog", section.split("```yaml\n")[1].split("```")[0])
    sys.modules.pop("tocsin.providers.beeper", None)


async def page(catalog: Path, step: Step) -> tuple[Receipt | DeliveryError, ScriptedHttp]:
    """Decide an event for a user with a pager, render its message, and send it."""
    world = World("default", catalog=load(catalog))
    world.profile(profile(contacts={"pager": "4711"}))
    [message] = world.event("gate.moved", data={"gate": "B12"}).messages
    tenants = {name: tenant.spec for name, tenant in load(catalog).tenants.items()}
    renderer = Renderer(load_templates(catalog / "templates"), tenants, b"0123456789abcdef")
    async with ScriptedHttp(step) as server:
        account = {"vendor": "beeper", "key": "t0ps3cret", "base_url": server.url}
        accounts = parse_accounts({"accounts": {"on-call": account}}, {}, Path("providers.yaml"))
        provider = build(accounts, clock=SteppingClock())["on-call"]
        assert provider.accepts(message)
        try:
            return await provider.send(Outgoing(message, renderer.render(message))), server
        except DeliveryError as error:
            return error, server
        finally:
            await provider.close()


@pytest.mark.loopback
async def test_a_channel_is_one_file_and_one_catalog_entry(beeper: Path) -> None:
    """An event becomes a page: checked, decided, rendered and sent."""
    assert check(beeper) == []
    assert check_templates(beeper) == []
    receipt, server = await page(beeper, json_answer(200, {}, ("X-Page-Id", "p-1")))
    assert receipt == Receipt("p-1", "200")
    [request] = server.requests
    assert dict(parse_qsl(request.body.decode())) == {"pager": "4711", "text": "Your gate is B12."}


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("status", "kind"), [(401, Misconfigured), (410, RecipientGone), (422, Rejected), (502, Unknown)]
)
async def test_the_new_channel_says_why_it_did_not_send(
    beeper: Path, status: int, kind: type[DeliveryError]
) -> None:
    error, _ = await page(beeper, json_answer(status, {}))
    assert type(error) is kind


def test_the_accounts_of_the_new_channel_count_as_its_own(beeper: Path) -> None:
    accounts = beeper.parent / "providers.yaml"
    accounts.write_text("accounts: {on-call: {vendor: beeper, key: k}}\n")
    settings = Settings(catalog=beeper, providers=accounts)
    assert used_channels(settings) == ("pager",)


def test_the_channel_is_refused_where_nobody_declared_it(tmp_path: Path) -> None:
    [problem] = check(catalog_of_pages(tmp_path, ""))
    assert "notifications/gate.yaml:1" in str(problem)
    assert "`pager` is no channel" in str(problem)


@pytest.fixture
def signups(tmp_path: Path, gateway: Running) -> httpx2.AsyncClient:
    """The gateway with the module of the page among its parts."""
    part = module("tocsin.gateway.signups", block("An endpoint of the gateway"), tmp_path)
    application = Application(gateway.gateway, (*PARTS, part))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=application), base_url="http://gateway.test")


async def test_an_endpoint_is_one_file_and_one_row(signups: httpx2.AsyncClient, gateway: Running) -> None:
    """What it accepts is an event of the caller's tenant in Kafka; what it refuses is nowhere."""
    described = (await signups.get("/openapi.json")).json()["paths"]["/v1/signups"]["post"]
    example = described["requestBody"]["content"]["application/json"]["example"]
    mine, other = gateway.bearing("acme"), gateway.bearing("acme", "users:read")
    refused: list[tuple[dict[str, str], dict[str, str], int, str]] = [
        ({}, example, 401, ""),
        (other, example, 403, ""),
        (mine, {"user": "ada", "plan": "platinum"}, 422, "plan"),
        (mine, {"user": "", "plan": "gold"}, 422, "user"),
        (mine, {"user": "a\x00b", "plan": "gold"}, 422, "subject"),
        (mine, {"user": "ada", "tenant": "default"}, 422, "tenant"),
    ]
    for headers, body, status, field in refused:
        answer = await signups.post("/v1/signups", json=body, headers=headers)
        named = [error["field"] for error in answer.json().get("errors", [])]
        assert (answer.status_code, named) == (status, [field] if field else []), answer.text
    answers = [await signups.post("/v1/signups", json=example, headers=mine) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    events = [as_event(record) for record in await gateway.records("events")]
    assert {event.id for event in events} == {answer.json()["event"] for answer in answers}
    (kind,) = {(event.tenant, event.user, event.type, bytes(event.data)) for event in events}
    assert kind == ("acme", "ada", "user.signed_up", b'{"plan":"gold"}')


def as_event(record: Written) -> Event:
    raw = RawRecord("events", record.partition, 0, NOON, record.key, record.value, ())
    return decode_event(raw, EventLimits(1 << 20, 0, 0, check_time=False))
