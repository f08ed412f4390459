"""`tocsin check --provider` and `tocsin send-test` for each vendor of e-mail, against the sandbox."""

from pathlib import Path

import pytest

from tests.cli.test_one_account import Run, box, run
from tests.sandbox.box import Box
from tocsin.devkit.sandbox.keys import AWS_KEY_ID, AWS_REGION, AWS_SECRET

pytestmark = pytest.mark.loopback
__all__ = ["box", "run"]

SES = f"vendor: ses, region: {AWS_REGION}, access_key_id: {AWS_KEY_ID}"
FILE = f"""
accounts:
  sendgrid: {{vendor: sendgrid, api_key: SG.x, base_url: "URL/sendgrid"}}
  ses: {{{SES}, secret_access_key: {AWS_SECRET}, base_url: "URL/ses"}}
  mailgun: {{vendor: mailgun, domain: mg.example.org, api_key: k, base_url: "URL/mailgun"}}
  mandrill: {{vendor: mandrill, api_key: k, base_url: "URL/mandrill/api/1.0"}}
  smtp: {{vendor: smtp, host: 127.0.0.1, port: PORT, security: plain}}
  wrong-sendgrid: {{vendor: sendgrid, api_key: SG.bad, base_url: "URL/sendgrid"}}
  wrong-ses: {{{SES}, secret_access_key: wrong, base_url: "URL/ses"}}
  wrong-mailgun: {{vendor: mailgun, domain: mg.example.org, api_key: bad, base_url: "URL/mailgun"}}
  wrong-mandrill: {{vendor: mandrill, api_key: bad, base_url: "URL/mandrill/api/1.0"}}
"""
PROVED = {
    "sendgrid": "the key may send mail",
    "ses": f"quota in {AWS_REGION}: 14 mails a second and 50,000 in 24 hours, 0 sent",
    "mailgun": "the domain mg.example.org is active",
    "mandrill": "the key is known",
    "smtp": "the server takes connections without login",
}


@pytest.fixture(autouse=True)
def accounts(run: Run, box: Box, tmp_path: Path) -> None:
    """Write the file of accounts where the command reads it."""
    text = FILE.replace("URL", box.url).replace("PORT", str(box.smtp_port))
    (tmp_path / "providers.yaml").write_text(text)


@pytest.mark.parametrize("name", PROVED)
def test_an_account_is_proved_and_then_sends(run: Run, box: Box, name: str) -> None:
    code, said = run("check", "--provider", name)
    assert code == 0, said
    assert f"✓ {name}: {PROVED[name]}" in said
    assert box.send_log() == []
    code, said = run("send-test", name, "--to", "ada@example.com")
    assert code == 0, said
    (record,) = box.send_log()
    assert (record["provider"], record["recipient"]) == (name, "ada@example.com")
    assert record["provider_id"] in said
    assert box.sent()[0]["content"]["text"]


@pytest.mark.parametrize("name", ["wrong-sendgrid", "wrong-ses", "wrong-mailgun", "wrong-mandrill"])
def test_wrong_credentials_are_told_and_send_nothing(run: Run, box: Box, name: str) -> None:
    for words in (("check", "--provider", name), ("send-test", name, "--to", "ada@example.com")):
        code, said = run(*words)
        assert code == 1, said
        assert "Misconfigured" in said
    assert box.send_log() == []
