"""What tenants name is held against the accounts there are: with file, line and cure."""

from pathlib import Path

import pytest

from tests.catalog.test_loader import NOTICE, TENANT, folder
from tocsin.catalog.accounts import channels_without_account, check_accounts

ACCOUNTS = {"smtp": "email", "sendgrid": "email", "twilio": "sms", "inapp": "inapp"}


def said(path: Path, providers: str) -> list[str]:
    made = folder(path, tenants__default=f"{TENANT}providers:\n{providers}")
    return [str(problem) for problem in check_accounts(made, ACCOUNTS)]


@pytest.mark.parametrize(
    "providers",
    [
        "  email: [smtp, sendgrid]\n  sms: [twilio]\n",
        "  email: []\n",
        "  push: [fcm]\n",  # a channel without any account: a note, see below
    ],
)
def test_accounts_that_are_there_and_channels_that_wait_for_one(tmp_path: Path, providers: str) -> None:
    assert said(tmp_path, providers) == []


@pytest.mark.parametrize(
    ("providers", "expected"),
    [
        (
            "  sms: [twilio]\n  email: [smtp, sengrid]\n",
            ["tenants/default.yaml:6: no email account is called `sengrid`, did you mean `sendgrid`?"],
        ),
        (
            "  email:\n    - mailgun\n    - smtp\n",
            [
                "tenants/default.yaml:6: no email account is called `mailgun`,"
                " write one of sendgrid, smtp or add the account"
            ],
        ),
        (
            "  email: [twilio]\n",
            ["tenants/default.yaml:5: account `twilio` is for sms, not for email, move or remove it here"],
        ),
        (
            "  push: [smtp]\n",
            ["tenants/default.yaml:5: account `smtp` is for email, not for push, move or remove it here"],
        ),
    ],
)
def test_a_name_that_no_account_has_or_one_of_another_channel(
    tmp_path: Path, providers: str, expected: list[str]
) -> None:
    assert said(tmp_path, providers) == expected


def test_each_tenant_is_looked_at_and_one_without_providers_gets_all(tmp_path: Path) -> None:
    other = f"{TENANT}providers: {{email: [smpt, sengrid]}}\n"
    made = folder(tmp_path, tenants__other=other)
    found = check_accounts(made, ACCOUNTS)
    assert [(problem.file, problem.line) for problem in found] == [("tenants/other.yaml", 4)] * 2


def test_channels_in_use_that_no_account_serves(tmp_path: Path) -> None:
    notice = NOTICE.replace("[email]", "[push, email, sms]")
    made = folder(tmp_path, notifications__all=notice)
    assert channels_without_account(made, ACCOUNTS) == ["push"]
    assert channels_without_account(made, {"inapp": "inapp"}) == ["email", "push", "sms"]
    assert channels_without_account(made, ACCOUNTS | {"apns": "push"}) == []
