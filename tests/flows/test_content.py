"""The catalog in force, its reload, and the order of a message's providers."""

import shutil
from pathlib import Path

import msgspec
import pytest

from flows.content import CatalogInForce, on_unknown_of, provider_order
from tocsin.catalog.catalog import Catalog
from tocsin.decision.policy import GatePolicy
from tocsin.errors import CatalogError
from tocsin.model.content import Outgoing
from tocsin.model.event import Origin
from tocsin.model.message import Message, Target
from tocsin.model.statuses import Channel
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.choice import Choice, Only
from tocsin.providers.smtp_mail import SmtpAccount

SHIPPED = Path(__file__).parents[2] / "examples" / "flights"
SECRET = b"sixteen or more bytes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "catalog"))


def message(channel: str = "email", tenant: str = "default") -> Message:
    return Message(
        message_id="m", notification_id="n", tenant=tenant, user="ann", channel=channel,
        target=Target("ann@mail.example"), notification="offer", category="offers", template="offer",
        data=msgspec.Raw(b"{}"), locale="en", event_id="e", event_source="/s", event_type="t",
        event_time_ms=0, received_ms=0, decided_ms=0, origin=Origin("events", 0, 0),
    )  # fmt: skip


class Account:
    """A provider that takes everything of its channel."""

    limits = Limits()

    def __init__(self, name: str, channel: Channel) -> None:
        self.name = name
        self.channel = channel

    def accepts(self, message: Message) -> bool:
        return message.channel == self.channel

    async def send(self, outgoing: Outgoing) -> Receipt:
        return Receipt(outgoing.message.message_id)

    async def close(self) -> None:
        """Nothing to give back."""


def poll_twice(content: CatalogInForce) -> None:
    """A folder counts as at rest when two polls see the same."""
    for second in (10, 20, 30):
        content.poll(second * 1_000)


def test_a_changed_catalog_takes_over_with_gate_and_renderer(folder: Path) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    gate, version = content.gate(), content.catalog.version
    tenant = folder / "tenants/default.yaml"
    tenant.write_text(tenant.read_text().replace("name: Skylark\n", "name: Lark\n"))
    poll_twice(content)
    assert content.catalog.version != version
    assert content.gate() is not gate
    assert content.problem == ""


def test_a_broken_reload_keeps_what_is_in_force_and_says_what_is_wrong(folder: Path) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    gate, version = content.gate(), content.catalog.version
    (folder / "notifications/more.yaml").write_text("wrong:\n  on: {type: x}\n  category: nonsense\n")
    poll_twice(content)
    assert content.gate() is gate
    assert content.catalog.version == version
    assert "more.yaml" in content.problem


def test_mending_it_ends_the_problem(folder: Path) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    extra = folder / "notifications/more.yaml"
    extra.write_text("wrong: [")
    poll_twice(content)
    assert content.problem
    extra.unlink()
    for second in (40, 50, 60):
        content.poll(second * 1_000)
    assert content.problem == ""


def test_a_catalog_with_mistakes_does_not_start(folder: Path) -> None:
    (folder / "tenants/default.yaml").write_text("categories: 7\n")
    with pytest.raises(CatalogError, match=r"default.yaml"):
        CatalogInForce(folder, GatePolicy(), SECRET)


@pytest.mark.parametrize("text", ["{% if %}", "{{ nobody.knows }}", "{% include 'gone' %}", b"caf\xe9"])
def test_a_reload_with_a_broken_template_keeps_what_is_in_force(folder: Path, text: str | bytes) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    sample = msgspec.json.decode((folder / "templates/offer/sample.json").read_bytes())[0]
    one = msgspec.structs.replace(message(), data=msgspec.Raw(msgspec.json.encode(sample)))
    version, before = content.catalog.version, content.render(one)
    part = folder / "templates/offer/en/subject.j2"
    good = part.read_bytes()
    part.write_bytes(text if isinstance(text, bytes) else text.encode())
    poll_twice(content)
    assert content.catalog.version == version
    assert content.render(one) == before
    assert "templates/offer/en/subject.j2:1: " in content.problem
    part.write_bytes(good)
    for second in (40, 50, 60):
        content.poll(second * 1_000)
    assert content.problem == ""


def test_a_catalog_with_a_broken_template_does_not_start(folder: Path) -> None:
    (folder / "templates/offer/en/subject.j2").write_text("{% if %}")
    with pytest.raises(CatalogError, match=r"templates/offer/en/subject.j2:1: "):
        CatalogInForce(folder, GatePolicy(), SECRET)


def test_providers_come_in_the_tenants_order_and_only_those_there_are(folder: Path) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    accounts = {name: Account(name, Channel.EMAIL) for name in ("sendgrid", "other", "smtp")}
    order = provider_order(lambda: content.catalog, accounts)
    assert [one.name for one in order(message())] == ["smtp", "sendgrid"]


def test_a_tenant_that_names_none_gets_every_account_that_accepts(folder: Path) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    accounts = {
        "b": Account("b", Channel.SMS),
        "a": Account("a", Channel.SMS),
        "mail": Account("mail", Channel.EMAIL),
    }
    order = provider_order(lambda: content.catalog, accounts)
    assert [one.name for one in order(message("sms", tenant="stranger"))] == ["b", "a"]
    assert order(message("webpush", tenant="stranger")) == []


def test_conditions_of_accounts_come_after_the_tenants_order(folder: Path) -> None:
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    accounts = {name: Account(name, Channel.EMAIL) for name in ("sendgrid", "smtp")}
    settings = {"smtp": SmtpAccount(vendor="smtp", host="h", only=Only(tenants=frozenset({"acme"})))}
    order = provider_order(lambda: content.catalog, accounts, Choice(settings))
    assert [one.name for one in order(message())] == ["sendgrid"]


def test_a_category_says_what_follows_a_call_without_an_answer(folder: Path) -> None:
    tenant = folder / "tenants" / "default.yaml"
    text = tenant.read_text()
    assert "  offers:\n" in text
    tenant.write_text(text.replace("  offers:\n", "  offers:\n    on_unknown: drop\n"))
    content = CatalogInForce(folder, GatePolicy(), SECRET)
    chosen = on_unknown_of(lambda: content.catalog)
    assert chosen(message()) == "drop"
    assert chosen(msgspec.structs.replace(message(), category="travel_alerts")) is None
    assert chosen(message(tenant="stranger")) is None


def test_a_catalog_that_fails_as_nobody_foresaw_leaves_the_old_one_and_says_where(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unforeseen = True

    def accept(_catalog: Catalog) -> None:
        if unforeseen and len(accepted) > 0:
            raise KeyError("ann@mail.example")
        accepted.append(_catalog)

    accepted: list[Catalog] = []
    content = CatalogInForce(folder, GatePolicy(), SECRET, accept=accept)
    before, file = content.catalog, folder / "notifications/flights.yaml"
    file.write_text(file.read_text() + "# changed\n")
    poll_twice(content)
    assert content.catalog is before
    assert "KeyError at test_content.py:" in content.problem
    assert "tried again" in content.problem
    assert "ann@mail.example" not in content.problem + caplog.text
    unforeseen = False
    file.write_text(file.read_text() + "# changed again\n")
    for second in (40, 50, 60):
        content.poll(second * 1_000)
    assert content.catalog is not before
    assert content.problem == ""
