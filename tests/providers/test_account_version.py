"""The version of the accounts in the audit log: it changes with each setting, and shows no secret."""

from pathlib import Path
from typing import Any

import pytest

from tocsin.providers.account_version import facts_of, version_of
from tocsin.providers.accounts import parse_accounts

PASSWORD = "a-password-of-mine"
ACCOUNTS: dict[str, Any] = {
    "mail": {"vendor": "sendgrid", "api_key": PASSWORD},
    "text": {"vendor": "twilio", "account_sid": "AC" + "0" * 32, "auth_token": "other", "rate_per_s": 5},
}


def version(accounts: dict[str, Any], secret: bytes = b"s" * 16) -> str:
    return version_of(parse_accounts({"accounts": accounts}, {}, Path("providers.yaml")).accounts, secret)


def changed(name: str, field: str, value: object) -> dict[str, Any]:
    return {**ACCOUNTS, name: {**ACCOUNTS[name], field: value}}


@pytest.mark.parametrize(
    "other",
    [
        changed("mail", "api_key", PASSWORD + "!"),
        changed("text", "rate_per_s", 6),
        changed("text", "only", {"tenants": ["acme"]}),
        {"text": ACCOUNTS["text"], "mail": ACCOUNTS["mail"]},
        {"post": ACCOUNTS["mail"], "text": ACCOUNTS["text"]},
        {"mail": ACCOUNTS["mail"]},
    ],
    ids=["secret", "rate", "only", "order", "name", "fewer"],
)
def test_each_change_has_another_version(other: dict[str, Any]) -> None:
    assert version(ACCOUNTS) == version(ACCOUNTS)
    assert version(other) != version(ACCOUNTS)


def test_a_guess_cannot_be_tried_without_the_secret() -> None:
    assert version(ACCOUNTS, b"t" * 16) != version(ACCOUNTS)


def test_facts_name_accounts_and_vendors_and_nothing_else() -> None:
    accounts = parse_accounts({"accounts": ACCOUNTS}, {}, Path("providers.yaml")).accounts
    assert facts_of(accounts) == ["mail (sendgrid)", "text (twilio)"]
