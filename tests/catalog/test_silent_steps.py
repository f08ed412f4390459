"""Steps that wait for a receipt which nobody reports are named, with file and line."""

from pathlib import Path

import pytest

from tests.catalog.test_loader import NOTICE, folder
from tocsin.catalog.loader import check
from tocsin.catalog.silent_steps import silent_steps
from tocsin.model.engagement import Level
from tocsin.providers.registry import vendors

MAIL = {Level.DELIVERED, Level.OPENED, Level.CLICKED}
REPORTS = {"email": MAIL, "sms": {Level.DELIVERED}, "push": {Level.OPENED}, "inapp": {Level.READ}}


def said(path: Path, words: str, channels: str) -> list[str]:
    notice = NOTICE.replace("[email]", f"[{channels}]")
    made = folder(path, notifications__all=f"{notice}  {words}\n")
    return [str(problem) for problem in silent_steps(made, REPORTS)]


@pytest.mark.parametrize(
    ("channels", "words", "expected"),
    [
        ("email", "escalate: [{after: 1m, unless: delivered, channels: [sms]}]", ""),
        ("push", "escalate: [{after: 1m, unless: opened, channels: [sms]}]", ""),
        ("inapp", "escalate: [{after: 1m, unless: clicked, channels: [sms]}]", ""),
        (
            "push",
            "escalate: [{after: 1m, unless: delivered, channels: [sms]}]",
            "`unless: delivered` waits for push, which never reports it: what follows goes out each time",
        ),
        (
            "email, push",
            "escalate: [{after: 1m, unless: delivered, channels: [sms]}]",
            "`unless: delivered` waits also for push, which never reports it",
        ),
        (
            "push",
            "escalate: [{after: 1m, unless: opened, channels: [sms]},"
            " {after: 2m, unless: opened, channels: [email]}]",
            "`unless: opened` waits also for sms, which never reports it",
        ),
        (
            "sms, email",
            "sequence: {every: 1m, until: read}",
            "`until: read` waits for sms, which never reports it: what follows goes out each time",
        ),
        ("email, sms", "sequence: {every: 1m, until: delivered}", ""),
    ],
)
def test_what_is_never_reported_is_told(tmp_path: Path, channels: str, words: str, expected: str) -> None:
    place = "notifications/all.yaml:5: "
    assert said(tmp_path, words, channels) == ([place + expected] if expected else [])


def test_a_channel_without_an_account_has_a_note_of_its_own(tmp_path: Path) -> None:
    words = "  escalate: [{after: 1m, unless: delivered, channels: [sms]}]\n"
    made = folder(tmp_path, notifications__all=NOTICE + words)
    assert silent_steps(made, {"push": {Level.OPENED}}) == []


def test_vendors_say_what_they_report() -> None:
    """A server that takes a mail, and the push services, tell nothing of its way to the user."""
    known = vendors()
    tell = {name for name, vendor in known.items() if Level.DELIVERED in vendor.reports}
    assert tell >= {"sendgrid", "twilio", "vonage"}
    assert tell.isdisjoint({"smtp", "fcm", "apns", "sns"})
    assert known["smtp"].reports == known["sns"].reports == frozenset()
    assert max(known["inapp"].reports) is Level.READ


def test_a_notification_that_a_tenant_takes_away_has_no_steps(tmp_path: Path) -> None:
    made = folder(tmp_path, tenants__acme="categories: {news: {}}\n")
    (made / "tenants/acme/notifications").mkdir(parents=True)
    (made / "tenants/acme/notifications/own.yaml").write_text("hello: null\n")
    assert check(made) == []
    assert silent_steps(made, REPORTS) == []
