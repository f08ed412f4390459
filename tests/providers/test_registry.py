"""The registry of vendors: a file is enough, a wrong entry is refused at import, nothing else names them."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

import tocsin.providers
from tests.providers.samples import SteppingClock
from tocsin.errors import SettingsError
from tocsin.model.channels import CHANNELS
from tocsin.model.content import Outgoing
from tocsin.model.message import Message
from tocsin.model.statuses import Channel
from tocsin.providers import registry
from tocsin.providers.accounts import build, parse_accounts
from tocsin.providers.base import Limits, Receipt
from tocsin.providers.http import Transport
from tocsin.providers.registry import provider, vendors
from tocsin.providers.vendor import Account, HttpAccount

ROOT = Path(__file__).parent.parent.parent
PATH = Path("providers.yaml")
FILE = """
from typing import Literal
from tests.providers.test_registry import Adapter
from tocsin.model.statuses import Channel
from tocsin.providers.registry import provider
from tocsin.providers.vendor import HttpAccount

class PigeonAccount(HttpAccount):
    vendor: Literal["pigeon"]

@provider("pigeon", Channel.SMS, PigeonAccount)
class Pigeon(Adapter):
    pass
"""


class Adapter:
    """An adapter that carries nothing."""

    channel = Channel.SMS
    limits = Limits()

    def __init__(self, name: str, account: HttpAccount, transport: Transport, _: Callable[[], float]) -> None:
        self.name = name
        self.account = account
        self.transport = transport

    def accepts(self, message: Message) -> bool:
        raise NotImplementedError

    async def send(self, outgoing: Outgoing) -> Receipt:
        raise NotImplementedError

    async def close(self) -> None:
        await self.transport.close()


class LocalAccount(Account):
    vendor: Literal["local"]


class CarrierAccount(HttpAccount):
    vendor: Literal["carrier"]


@pytest.fixture(autouse=True)
def of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what a test registers."""
    monkeypatch.setattr(registry, "VENDORS", dict(vendors()))


async def test_a_file_in_the_folder_is_a_vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pigeon.py").write_text(FILE)
    document = {"accounts": {"grey": {"vendor": "pigeon", "timeout_s": 2}}}
    with pytest.raises(SettingsError, match=r"accounts\.grey: names no vendor we know"):
        parse_accounts(document, {}, PATH)
    monkeypatch.setattr(tocsin.providers, "__path__", [*tocsin.providers.__path__, str(tmp_path)])
    monkeypatch.setitem(sys.modules, "tocsin.providers.pigeon", None)  # taken back after the test
    del sys.modules["tocsin.providers.pigeon"]
    accounts = parse_accounts(document, {}, PATH)
    assert accounts.accounts["grey"].timeout_s == 2
    adapter = build(accounts, clock=SteppingClock())["grey"]
    assert (type(adapter).__name__, adapter.name, adapter.channel) == ("Pigeon", "grey", Channel.SMS)
    await adapter.close()
    with pytest.raises(SettingsError, match=r"accounts\.grey\.speed: is not a field of this vendor"):
        parse_accounts({"accounts": {"grey": {"vendor": "pigeon", "speed": 1}}}, {}, PATH)
    with pytest.raises(SettingsError, match=r"order: is not a field of this file"):
        parse_accounts({"accounts": {}, "order": []}, {}, PATH)
    with pytest.raises(SettingsError, match="mandrill, pigeon, sendgrid"):
        parse_accounts({"accounts": {"grey": {"vendor": "dove"}}}, {}, PATH)


def _needs_build() -> Any:
    return provider("local", Channel.SMS, LocalAccount)


def _another_name() -> Any:
    return provider("courier", Channel.SMS, CarrierAccount)


def _another_channel() -> Any:
    return provider("carrier", Channel.EMAIL, CarrierAccount)


WRONG = [
    (_needs_build, "Adapter: LocalAccount is no HttpAccount, so the entry needs `build=`"),
    (_another_name, 'CarrierAccount: needs the field `vendor: Literal["courier"]`'),
    (_another_channel, "Adapter: its channel is sms, its entry says email"),
]


@pytest.mark.parametrize(("entry", "told"), WRONG)
def test_a_wrong_entry_is_refused_at_import(entry: Callable[[], Any], told: str) -> None:
    with pytest.raises(TypeError, match=re.escape(told)):
        entry()(Adapter)
    assert "local" not in vendors()


def test_a_name_is_taken_once() -> None:
    register = provider("carrier", Channel.SMS, CarrierAccount)
    assert register(Adapter) is Adapter
    with pytest.raises(TypeError, match="another class is registered as vendor carrier"):
        register(Adapter)


def test_every_channel_that_the_catalog_takes_has_a_vendor() -> None:
    missing = set(CHANNELS) - {vendor.channel for vendor in vendors().values()}
    assert not missing


def test_no_other_module_imports_a_vendor() -> None:
    """The exceptions read what in-app accounts say of inboxes, and each vendor's own reports."""
    modules = {vendor.account.__module__ for vendor in vendors().values()}
    imports = re.compile(rf"^\s*(?:from|import) ({'|'.join(map(re.escape, modules))})\b", re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)} {module}"
        for top in ("tocsin", "flows", "operators", "sinks", "sources", "dashboards")
        for path in sorted((ROOT / top).rglob("*.py"))
        for module in imports.findall(path.read_text())
    ]
    own = [
        one for one in found if re.fullmatch(r"tocsin/providers/(\w+)_reports\.py tocsin\.providers\.\1", one)
    ]
    readers = ("tocsin/cli/check.py", "tocsin/gateway/inbox/service.py", "flows/assembly.py")
    assert [one for one in found if one not in own] == [f"{one} tocsin.providers.inapp" for one in readers]
