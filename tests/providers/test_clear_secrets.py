"""Secrets in clear: each is named with its line, no reference is, and no text shows one."""

from pathlib import Path

from tocsin.providers.accounts import load_accounts
from tocsin.providers.clear_secrets import clear_secrets

SID = "AC" + "0" * 32
FILE = """
accounts:
  inapp: {vendor: inapp}
  texts:
    vendor: twilio
    account_sid: SID
    auth_token: s3cret-token
  more: {vendor: twilio, account_sid: SID, auth_token: env:TOKEN, webhook_token: "${TOKEN}"}
  mails: {vendor: smtp, host: mail.example, username: u, password_file: password}
  hooks: {vendor: webhook, secrets: ["${HOOK}", whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0]}
  chat: {vendor: apprise, channel: telegram, url: "tgram://${TOKEN}/{to}", proxy: "http://proxy.example:3128"}
""".replace("SID", SID)


def test_each_secret_in_clear_is_named_with_its_line_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(FILE)
    found = clear_secrets(path)
    places = [
        line.removeprefix(f"{path}:").partition(": is a secret in clear; write ${NAME}")[0] for line in found
    ]
    assert places == ["7: accounts.texts.auth_token", "10: accounts.hooks.secrets"]
    assert not any("s3cret" in line or "whsec" in line for line in found)


def test_env_and_a_name_is_the_variable(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(f"accounts:\n  one: {{vendor: twilio, account_sid: {SID}, auth_token: env:TOKEN}}\n")
    account = load_accounts(path, {"TOKEN": "s3cret"}).accounts["one"]
    assert account.model_dump()["auth_token"].get_secret_value() == "s3cret"
