"""`tocsin check --provider` and `tocsin send-test`, against the sandbox."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.sandbox.box import ACCOUNT, Box, start
from tocsin.cli.main import main
from tocsin.cli.send_test import Asked, target_of
from tocsin.model.message import Target

pytestmark = pytest.mark.loopback
ROOT = Path(__file__).parent.parent.parent
FILE = """
accounts:
  inapp: {{vendor: inapp}}
  text: {{vendor: twilio, account_sid: {sid}, auth_token: t, sender: "+15005550006", base_url: {url}/twilio}}
  wrong: {{vendor: twilio, account_sid: {sid}, auth_token: bad, base_url: "{url}/twilio"}}
  other: {{vendor: vonage, api_key: abcd1234, api_secret: "${{VONAGE_SECRET}}", base_url: "{url}/vonage"}}
  mail: {{vendor: sendgrid, api_key: SG.x, base_url: "{url}/sendgrid"}}
"""
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with start(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


@pytest.fixture
def run(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command beside the accounts of `FILE` and the shipped catalog."""
    (tmp_path / "providers.yaml").write_text(FILE.format(sid=ACCOUNT, url=box.url))
    shutil.copytree(ROOT / "examples" / "flights", tmp_path / "catalog")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOCSIN_SECRET", "0123456789abcdef")
    box.http.delete("/sent").raise_for_status()

    def command(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["tocsin", *words])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0), "".join(capfd.readouterr())
        return 0, "".join(capfd.readouterr())

    return command


def test_credentials_are_proved_without_sending(run: Run, box: Box) -> None:
    code, said = run("check", "--provider", "text")
    assert code == 0, said
    assert said.splitlines() == [
        f"✓ text: account {ACCOUNT}, Full, active",
        f"    vendor twilio, channel sms, sender +15005550006, at {box.url}/twilio",
    ]
    assert box.send_log() == []


def test_wrong_credentials_say_what_the_vendor_says(run: Run, box: Box) -> None:
    code, said = run("check", "--provider", "wrong")
    assert code == 1
    assert "✗ wrong: Misconfigured 20003: Authenticate\n" in said
    assert "correct the credentials of accounts.wrong in providers.yaml" in said
    code, said = run("check", "--provider", "wrong", "--json")
    found: dict[str, Any] = json.loads(said)
    assert (code, found["proved"], found["environment"]) == (1, False, f"{box.url}/twilio")
    assert found["error"]["reason"] == "misconfigured"


def test_a_tenant_that_is_not_there_is_no_default(run: Run, box: Box) -> None:
    code, said = run("send-test", "text", "--to", "+4915112345678", "--tenant", "nobody")
    assert (code, "--tenant: there is no tenant nobody; there are: " in said) == (2, True), said
    assert box.send_log() == []


def test_a_name_that_is_not_there_lists_those_that_are(run: Run) -> None:
    for words in (("check", "--provider", "txet"), ("send-test", "txet", "--to", "+49151")):
        code, said = run(*words)
        assert code == 78
        assert said == (
            "✗ providers.yaml: there is no account txet; there are: inapp, mail, other, text, wrong\n"
        )


def test_a_variable_that_is_missing_is_named_and_other_accounts_do_not_need_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said = run("check", "--provider", "other")
    assert code == 78
    assert "providers.yaml:6: accounts.other.api_secret: the variable VONAGE_SECRET is not set" in said
    monkeypatch.setenv("VONAGE_SECRET", "s")
    code, said = run("check", "--provider", "other")
    assert (code, said.splitlines()[0]) == (0, "✓ other: account abcd1234, balance 12.50 EUR")


def test_one_message_is_sent_and_what_the_vendor_answers_is_said(run: Run, box: Box) -> None:
    code, said = run("send-test", "text", "--to", "+4915112345678", "--text", "Hello there")
    assert code == 0, said
    (record,) = box.send_log()
    assert said.startswith("✓ text: accepted in ")
    assert said.endswith(f"code 201, id {record['provider_id']}\n")
    assert box.sent()[0]["content"]["body"] == "Hello there"


@pytest.mark.parametrize(
    ("to", "kind", "code", "then"),
    [
        ("+15005550001", "RecipientGone", "21211", "the address is blocked"),
        ("+15005550003", "Misconfigured", "21408", "another account is tried"),
        ("+15005550004", "OptedOut", "21610", "the address is blocked"),
    ],
)
def test_a_refusal_says_its_class_and_what_follows(
    run: Run, to: str, kind: str, code: str, then: str
) -> None:
    ended, said = run("send-test", "text", "--to", to)
    assert ended == 1
    assert f"✗ text: {kind} {code}: " in said
    assert then in said
    ended, said = run("send-test", "text", "--to", to, "--json")
    found = json.loads(said)
    assert (ended, found["sent"], found["error"]["class"], found["error"]["code"]) == (1, False, kind, code)


def test_a_template_is_rendered_with_its_sample(run: Run, box: Box) -> None:
    words = ("send-test", "mail", "--to", "ada@example.com", "--template", "flight_cancelled")
    code, said = run(*words, "--locale", "de", "--json")
    assert code == 0, said
    assert json.loads(said)["sent"] is True
    assert box.sent()[0]["content"]["subject"].startswith("Gestrichen: Ihr Flug")
    for more, told in (
        (["--template", "nothing"], "there is no template nothing in catalog/templates"),
        (["--template", "flight_cancelled", "--data", "{"], "--data: not JSON"),
        (["--template", "flight_cancelled", "--tenant", "x"], "there is no tenant x; there are: "),
    ):
        code, said = run("send-test", "mail", "--to", "ada@example.com", *more)
        assert code in (2, 78), said
        assert told in said


def test_one_tenant_s_mistake_keeps_no_other_from_its_test(run: Run, box: Box, tmp_path: Path) -> None:
    (tmp_path / "catalog/tenants/acme.yaml").write_text("timezone: Mars\n")
    code, said = run(
        "send-test", "mail", "--to", "ada@example.com", "--template", "flight_cancelled", "--json"
    )
    assert code == 0, said
    code, said = run("send-test", "mail", "--to", "ada@example.com", "--json")
    assert code == 0, said
    assert len(box.sent()) == 2


def test_an_account_does_not_carry_every_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_REDIS", "redis://127.0.0.1:9/0")
    code, said = run("send-test", "inapp", "--to", "ada")
    assert code == 1
    assert "Transient" in said, "there is no Redis"


def asked(to: str) -> Asked:
    return Asked(to, "", "", "", "en", "default", "", "", "")


def test_a_browser_is_reached_by_its_subscription() -> None:
    given = {
        "endpoint": "https://push.example/1",
        "expirationTime": None,
        "keys": {"p256dh": "k", "auth": "a"},
    }
    target = target_of("webpush", "webpush", asked(json.dumps(given)))
    assert (target.address, target.platform) == ("https://push.example/1", "web")
    assert target.subscription == {"endpoint": "https://push.example/1", "p256dh": "k", "auth": "a"}


@pytest.mark.parametrize("to", ["https://push.example/1", "{}", '{"endpoint": "https://push.example/1"}'])
def test_what_is_no_subscription_says_what_one_is(to: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        target_of("webpush", "webpush", asked(to))
    assert "not the subscription of a browser" in capsys.readouterr().err


def test_the_account_s_own_address_is_named_by_its_word() -> None:
    assert target_of("slack", "slack", asked("account")) == Target("account", platform="account")
    assert target_of("sms", "twilio", asked("account")) == Target("account")
    assert target_of("push", "apns", asked("0f")).platform == "ios"
