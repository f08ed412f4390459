"""Credentials rotate while the process runs: the next message goes out with the new ones."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from flows import rotation
from flows.rotation import Rotation
from tests.providers.conftest import accepting, runtime
from tests.providers.samples import outgoing
from tests.providers.scripted_http import ScriptedHttp
from tests.waiting import until
from tocsin.delivery.runtime import Runtime
from tocsin.providers.account_version import facts_of
from tocsin.providers.accounts import Accounts, build, load_accounts
from tocsin.providers.base import Provider
from tocsin.providers.vendor import Account

__all__ = ["accepting", "runtime"]
pytestmark = pytest.mark.loopback

FILE = """accounts:
  mail: {vendor: sendgrid, api_key_file: key.txt, base_url: "URL", timeout_s: 60}
  other: {vendor: sendgrid, api_key: same, base_url: "URL"}
"""


class World:
    """A folder with accounts, their adapters, and what was noted."""

    def __init__(self, folder: Path, runtime: Runtime, url: str, more: str = "") -> None:
        self.path, self.key, self.runtime = folder / "providers.yaml", folder / "key.txt", runtime
        self.text = FILE.replace("URL", url) + more
        self.path.write_text(self.text)
        self.key.write_text("first")
        accounts = load_accounts(self.path, {})
        self.providers = self.made(accounts)
        self.noted: list[str] = []
        self.rotation = Rotation(
            self.path,
            {},
            accounts,
            self.providers,
            build=self.made,
            runtime=runtime,
            secret=b"s" * 32,
            note=self.note,
        )

    def made(self, accounts: Accounts, names: object = None) -> dict[str, Provider]:
        wanted = None if names is None else list(names)  # type: ignore[call-overload]  # as `Rotation` calls it
        return build(accounts, clock=lambda: 0.0, names=wanted)

    def note(self, version: str, accounts: Mapping[str, Account]) -> None:
        self.noted.append(f"{version} {facts_of(accounts)}")

    def send(self, name: str) -> None:
        self.runtime.run(self.providers[name].send(outgoing("email")), 60)


def test_the_next_message_has_the_new_key_and_the_old_adapter_is_closed_later(
    tmp_path: Path, runtime: Runtime, accepting: ScriptedHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_GRACE_S", -59.9)  # a tenth of a second after the deadline's minute
    world = World(tmp_path, runtime, accepting.url)
    old, untouched = world.providers["mail"], world.providers["other"]
    closed: list[str] = []
    close = old.close

    async def noting() -> None:
        closed.append(old.name)
        await close()

    monkeypatch.setattr(old, "close", noting)
    world.send("mail")
    world.rotation.poll()
    assert world.noted == [], "nothing changed"
    world.key.write_text("second")
    world.rotation.poll()
    world.send("mail")
    keys = [request.headers["authorization"] for request in accepting.requests]
    assert keys == ["Bearer first", "Bearer second"]
    assert world.providers["other"] is untouched
    assert len(world.noted) == 1
    assert "second" not in world.noted[0]
    until(lambda: closed == ["mail"], "the end of the old adapter")


def test_a_mistake_leaves_every_account_as_it_is_and_is_said_until_it_is_mended(
    tmp_path: Path, runtime: Runtime, accepting: ScriptedHttp
) -> None:
    world = World(tmp_path, runtime, accepting.url)
    before = dict(world.providers)
    world.key.unlink()
    world.rotation.poll()
    assert "api_key_file" in world.rotation.problem
    assert world.providers == before
    world.key.write_text("first")
    world.rotation.poll()
    assert world.rotation.problem == ""
    assert world.providers == before


def test_a_key_file_that_is_being_written_is_no_new_key(
    tmp_path: Path, runtime: Runtime, accepting: ScriptedHttp
) -> None:
    world = World(tmp_path, runtime, accepting.url)
    before = dict(world.providers)
    world.key.write_text("")  # as an editor leaves it for a moment
    world.rotation.poll()
    assert "accounts.mail.api_key: is empty" in world.rotation.problem
    assert world.providers == before


def test_settings_that_no_adapter_can_be_made_of_leave_every_account_as_it_is(
    tmp_path: Path, runtime: Runtime, accepting: ScriptedHttp
) -> None:
    chat = '  chat: {vendor: apprise, channel: telegram, url: "json://127.0.0.1/{to}"}\n'
    world = World(tmp_path, runtime, accepting.url, chat)
    world.path.write_text(world.text.replace("json:", "nothing:"))
    world.rotation.poll()
    assert "service that Apprise does not know" in world.rotation.problem
    world.path.write_text(world.text)
    world.rotation.poll()
    assert world.rotation.problem == ""


def test_accounts_that_come_and_go_want_a_restart(
    tmp_path: Path, runtime: Runtime, accepting: ScriptedHttp
) -> None:
    world = World(tmp_path, runtime, accepting.url)
    world.path.write_text(world.text.replace("  other:", "  another:"))
    world.rotation.poll()
    assert "want a restart: another, other" in world.rotation.problem
    assert set(world.providers) == {"mail", "other"}, "messages of both still go out"
    world.rotation.poll()
    assert "want a restart" in world.rotation.problem, "until there was one"
    world.path.write_text(world.text.replace("api_key: same", "api_key: new"))
    old = world.providers["other"]
    world.rotation.poll()
    assert world.rotation.problem == ""
    assert world.providers["other"] is not old, "it is back, with a new key"
