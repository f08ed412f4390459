"""The file of provider accounts: what it means, and how its mistakes are told."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from tests.providers.certificates import p256_key, pem, rsa_key
from tests.providers.samples import SteppingClock, message
from tests.providers.test_adapters import SERVICE_ACCOUNT, SID
from tocsin.errors import SettingsError
from tocsin.model.message import Target
from tocsin.model.statuses import Channel
from tocsin.providers.accounts import Accounts, build, load_accounts, parse_accounts
from tocsin.providers.base import Provider
from tocsin.providers.http import HttpPolicy, Transport
from tocsin.providers.registry import vendors
from tocsin.providers.vendor import HttpAccount

VENDORS = ", ".join(vendors())
KEY = "SG.very-s3cret-key"
VARIABLES = {"SENDGRID_KEY": KEY, "TWILIO_TOKEN": "tw-s3cret", "SMTP_PORT": "2525"}
FILE = """
accounts:
  sandbox-mail: {vendor: smtp, host: 127.0.0.1, port: "${SMTP_PORT}", security: plain}
  sendgrid-main: {vendor: sendgrid, api_key: "${SENDGRID_KEY}", base_url: "http://127.0.0.1:8025/"}
  twilio-main: {vendor: twilio, account_sid: SID, auth_token: "${TWILIO_TOKEN}", sender: "+15005550006"}
  fcm-main: {vendor: fcm, credentials_file: keys/firebase.json}
  apns-main: {vendor: apns, key_file: keys/apple.p8, key_id: K, team_id: T}
  inapp: {vendor: inapp, cap: 50}
""".replace("SID", SID)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "firebase.json").write_bytes(msgspec.json.encode(SERVICE_ACCOUNT))
    (tmp_path / "keys" / "apple.p8").write_text(pem(p256_key()))
    return tmp_path


def load(folder: Path, text: str, variables: dict[str, str] | None = None) -> Accounts:
    path = folder / "providers.yaml"
    path.write_text(text)
    return load_accounts(path, VARIABLES if variables is None else variables)


def mistake(folder: Path, text: str, variables: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, text, variables)
    said = f"{caught.value} {caught.value.__cause__}"
    assert str(folder / "providers.yaml") in said
    for secret in ("s3cret", "PRIVATE", pem(rsa_key())[40:60]):
        assert secret not in said
    return str(caught.value)


def test_a_whole_file(folder: Path) -> None:
    accounts = load(folder, FILE).accounts
    kinds = {name: account.vendor for name, account in accounts.items()}
    assert kinds == {
        "sandbox-mail": "smtp",
        "sendgrid-main": "sendgrid",
        "twilio-main": "twilio",
        "fcm-main": "fcm",
        "apns-main": "apns",
        "inapp": "inapp",
    }
    dumped = {name: account.model_dump() for name, account in accounts.items()}
    assert dumped["sandbox-mail"]["port"] == 2525
    assert dumped["sendgrid-main"]["base_url"] == "http://127.0.0.1:8025"
    assert dumped["sendgrid-main"]["api_key"].get_secret_value() == KEY
    assert dumped["fcm-main"]["credentials"]["project_id"] == "demo-1"
    assert dumped["apns-main"]["key"].get_secret_value() == pem(p256_key()).strip()
    assert "s3cret" not in repr(accounts)


async def test_builds_every_adapter(folder: Path) -> None:
    redis = Redis.from_url("redis://127.0.0.1:1")
    providers = build(load(folder, FILE), clock=SteppingClock(), redis=redis)
    assert {name: provider.channel for name, provider in providers.items()} == {
        "sandbox-mail": Channel.EMAIL,
        "sendgrid-main": Channel.EMAIL,
        "twilio-main": Channel.SMS,
        "fcm-main": Channel.PUSH,
        "apns-main": Channel.PUSH,
        "inapp": Channel.INAPP,
    }
    assert all(provider.name == name for name, provider in providers.items())
    await close(providers)
    await redis.aclose()


async def close(providers: dict[str, Provider]) -> None:
    for provider in providers.values():
        await provider.close()


def carriers(providers: dict[str, Provider], platform: str) -> list[str]:
    push = message("push", target=Target("t0ken", platform=platform))
    return [name for name, provider in providers.items() if provider.accepts(push)]


async def test_push_goes_by_platform(folder: Path) -> None:
    both = {name: raw for name, raw in document(FILE).items() if name in ("fcm-main", "apns-main")}
    path = folder / "providers.yaml"
    providers = build(parse_accounts({"accounts": both}, {}, path), clock=SteppingClock())
    assert carriers(providers, "ios") == ["apns-main"]
    assert carriers(providers, "android") == ["fcm-main"]
    assert carriers(providers, "web") == []
    await close(providers)
    alone = {"accounts": {"fcm-main": both["fcm-main"]}}
    providers = build(parse_accounts(alone, {}, path), clock=SteppingClock())
    assert carriers(providers, "ios") == carriers(providers, "android") == ["fcm-main"]
    await close(providers)


async def test_every_account_has_its_own_transport(folder: Path) -> None:
    opened: list[HttpPolicy] = []

    def open_transport(policy: HttpPolicy) -> Transport:
        opened.append(policy)
        return Unopened()

    redis = Redis.from_url("redis://127.0.0.1:1")
    build(load(folder, FILE), clock=SteppingClock(), redis=redis, transport=open_transport)
    assert [policy.http2 for policy in opened] == ["off", "off", "off", "only"]
    await redis.aclose()


class Unopened:
    """A transport nobody should use."""

    async def request(self, *_: Any) -> Any:
        raise AssertionError

    async def reconnect(self) -> None:
        raise AssertionError

    async def close(self) -> None:
        raise AssertionError


def document(text: str) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load(text)["accounts"]
    return found


def test_domains_beyond_ascii_are_read_as_dns_writes_them(folder: Path) -> None:
    """Python's sockets would ask for `strasse.example`, which is somebody else's."""
    text = """
accounts:
  web: {vendor: sendgrid, api_key: k, base_url: "https://Straße.example:8443/api/"}
  mail: {vendor: smtp, host: mail.straße.example, ehlo_name: wir.bücher.example}
"""
    (folder / "providers.yaml").write_text(text)
    web, mail = load_accounts(folder / "providers.yaml", {}).accounts.values()
    assert web.model_dump()["base_url"] == "https://xn--strae-oqa.example:8443/api"
    assert mail.model_dump()["host"] == "mail.xn--strae-oqa.example"
    assert mail.model_dump()["ehlo_name"] == "wir.xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://Api.Example:443/v3/", "https://api.example/v3"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://127.0.0.1:8025/X", "http://127.0.0.1:8025/X"),
        ("https://api.example:80", "https://api.example:80"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
    ],
)
def test_the_host_is_written_as_signatures_have_it(folder: Path, written: str, read: str) -> None:
    accounts = load(folder, f'accounts: {{web: {{vendor: sendgrid, api_key: k, base_url: "{written}"}}}}')
    assert accounts.accounts["web"].model_dump()["base_url"] == read


def test_inapp_needs_redis(folder: Path) -> None:
    accounts = load(folder, "accounts: {inapp: {vendor: inapp}}")
    with pytest.raises(SettingsError, match=r"inapp.*TOCSIN_REDIS"):
        build(accounts, clock=SteppingClock())


def test_a_variable_is_put_in_after_parsing(folder: Path) -> None:
    evil = {"SENDGRID_KEY": '", base_url: "http://evil.example'}
    text = 'accounts: {a: {vendor: sendgrid, api_key: "x${SENDGRID_KEY}y"}}'
    [account] = load(folder, text, evil).accounts.values()
    assert account.model_dump()["base_url"] == "https://api.sendgrid.com"
    assert account.model_dump()["api_key"].get_secret_value() == f"x{evil['SENDGRID_KEY']}y"


def test_a_secret_can_come_from_a_file(folder: Path) -> None:
    (folder / "key").write_text(f"{KEY}\n")
    [account] = load(folder, "accounts: {a: {vendor: sendgrid, api_key_file: key}}").accounts.values()
    assert account.model_dump()["api_key"].get_secret_value() == KEY


MISTAKES = [
    ("accounts: [", "providers.yaml:1: is not YAML"),
    ("accounts: {a: {vendor: sendgrid, api_key: 's3cret", "is not YAML"),
    ("", "the file: "),
    ("accounts: {}\nmore: 1", "more: is not a field"),
    (
        "accounts: {a: {api_key: s3cret}}",
        f"accounts.a: says no vendor; add `vendor:` and one of {VENDORS}",
    ),
    (
        "accounts: {a: {vendor: sendgird, api_key: s3cret}}",
        f"accounts.a: names no vendor we know; use one of {VENDORS}",
    ),
    ("accounts: {a: {vendor: sendgrid}}", "accounts.a.api_key: is missing"),
    (
        "accounts: {a: {vendor: sendgrid, api_key: s3cret, apikey: s3cret}}",
        "accounts.a.apikey: is not a field",
    ),
    ("accounts: {a: {vendor: sendgrid, api_key: [s3cret]}}", "accounts.a.api_key: "),
    ("accounts: {A B: {vendor: inapp}}", "does not have the form"),
    (
        "accounts: {a: {vendor: sendgrid, api_key: '${NOPE}'}}",
        "accounts.a.api_key: the variable NOPE is not set",
    ),
    ("accounts: {a: {vendor: sendgrid, api_key_file: nope}}", "accounts.a.api_key_file: the file named"),
    (
        "accounts: {a: {vendor: sendgrid, api_key: s3cret, base_url: example.com}}",
        "accounts.a.base_url: must be a URL",
    ),
    (
        "accounts: {a: {vendor: smtp, host: 'mail.☃☃.example'}}",
        "accounts.a.host: has a domain that DNS cannot hold",
    ),
    (
        "accounts: {a: {vendor: sendgrid, api_key: s3cret, base_url: 'https://a‍.example'}}",
        "accounts.a.base_url: has a domain that DNS cannot hold",
    ),
    (
        "accounts: {a: {vendor: sendgrid, api_key: s3cret, base_url: 'https://e.com/?k=s3cret'}}",
        "must be a URL",
    ),
    ("accounts: {a: {vendor: smtp, host: h, security: plain, username: u, password: s3cret}}", "in clear"),
    ("accounts: {a: {vendor: smtp, host: h, port: 99999}}", "accounts.a.port: "),
    (
        "accounts: {a: {vendor: twilio, account_sid: AC1, auth_token: s3cret}}",
        "accounts.a.account_sid: does not have",
    ),
    (
        "accounts: {a: {vendor: apns, key: s3cret, key_id: K, team_id: T}}",
        "accounts.a.key: is not a P-256 private key",
    ),
    ("accounts: {a: {vendor: fcm, credentials: '{\"s3cret\": 1}'}}", "project_id"),
    ("accounts: {a: {vendor: fcm, credentials: 's3cret'}}", "accounts.a.credentials"),
    ("accounts: {a: {vendor: inapp, cap: 0}}", "accounts.a.cap: "),
    ("accounts: {a: {vendor: sendgrid, api_key: ''}}", "accounts.a.api_key: is empty"),
    ("accounts: {a: {vendor: apns, key: '', key_id: K, team_id: T}}", "accounts.a.key: "),
    (
        "accounts: {a: {vendor: vonage, api_key: abcd1234, api_secret_file: empty.txt}}",
        "accounts.a.api_secret: is empty",
    ),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_mistakes_name_file_and_field_and_no_value(folder: Path, text: str, told: str) -> None:
    (folder / "empty.txt").write_text("\n")
    assert told in mistake(folder, text)


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    said = mistake(folder, "accounts: {a: {vendor: sendgrid}, b: {vendor: smtp}}")
    assert "accounts.a.api_key" in said
    assert "accounts.b.host" in said


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="TOCSIN_PROVIDERS"):
        load_accounts(tmp_path / "providers.yaml", {})


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_bytes(b"accounts: \xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        load_accounts(path, {})


@pytest.mark.parametrize(
    ("fields", "first_byte_s"),
    [
        ("", 10),
        ("timeout_s: 25", 25),
        ("first_byte_timeout_s: 4", 4),
        ("timeout_s: 25, first_byte_timeout_s: 4", 4),
    ],
)
def test_an_account_bounds_the_wait_for_a_first_byte(folder: Path, fields: str, first_byte_s: float) -> None:
    text = f'accounts: {{m: {{vendor: sendgrid, api_key: "${{SENDGRID_KEY}}", {fields}}}}}'
    account = load(folder, text).accounts["m"]
    assert isinstance(account, HttpAccount)
    assert account.http_policy().first_byte_timeout_s == first_byte_s


@pytest.mark.parametrize(("fields", "connect_s", "slot_s"), [("", 3, 5), ("timeout_s: 2", 0.8, 0.8)])
def test_what_comes_before_a_request_ends_before_the_deadline_of_the_call(
    folder: Path, fields: str, connect_s: float, slot_s: float
) -> None:
    """Else a server that nobody reaches counts as one that may have the message."""
    text = f'accounts: {{m: {{vendor: sendgrid, api_key: "${{SENDGRID_KEY}}", {fields}}}}}'
    account = load(folder, text).accounts["m"]
    assert isinstance(account, HttpAccount)
    policy = account.http_policy()
    assert (policy.connect_timeout_s, policy.pool_timeout_s) == (connect_s, slot_s)


def test_a_bound_of_nothing_is_refused(folder: Path) -> None:
    said = mistake(folder, "accounts: {m: {vendor: webhook, secrets: [x], first_byte_timeout_s: 0}}")
    assert "accounts.m.first_byte_timeout_s" in said
    assert "greater than 0" in said
