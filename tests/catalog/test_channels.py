"""Channels of the catalog: declared ones, mistakes in their names, and whose fault they are."""

from pathlib import Path

import pytest

from tests.catalog.test_loader import NOTICE, TENANT, folder, problems
from tocsin.catalog.loader import load, load_apart

TELEGRAM = NOTICE.replace("channels: [email]", "channels: [telegram]")


def test_notice_has_the_line_that_the_tests_change() -> None:
    assert TELEGRAM != NOTICE


def test_a_declared_channel_is_taken(tmp_path: Path) -> None:
    declared = f"{TENANT}channels: {{telegram: {{}}}}\nproviders: {{telegram: [bot]}}\nwindows: {{}}\n"
    loaded = load(folder(tmp_path, tenants__default=declared, notifications__all=TELEGRAM))
    tenant = loaded.tenant("default")
    assert tenant is not None
    assert tenant.providers == {"telegram": ["bot"]}
    assert loaded.tenants["default"].channels == {"telegram"}


@pytest.mark.parametrize(
    ("channel", "text"),
    [
        ("emial", "`emial` is no channel, did you mean `email`?"),
        ("fax", "`fax` is no channel, use email, sms, push, webpush, inapp, whatsapp, voice, slack, webhook"),
        ("Telegram", "`channel` is wrong: `Telegram` is no name of a channel, use a-z, digits"),
        ("gate", "`channel` is wrong: `gate` has a meaning of its own, so no channel has"),
    ],
)
def test_an_unknown_channel_is_a_mistake_with_a_cure(tmp_path: Path, channel: str, text: str) -> None:
    notice = NOTICE.replace("channels: [email]", f"channels: [{channel}]")
    [problem] = problems(tmp_path, notifications__all=notice)
    assert problem.startswith("notifications/all.yaml:")
    assert text in problem


@pytest.mark.parametrize(
    "line",
    [
        "providers: {telegam: [x]}",
        "failover_after: {telegam: 2m}",
        "windows: {telegam: {start: '08:00', end: '20:00'}}",
        "limits: [{max: 1, per: 1d, scope: channel, channel: telegam}]",
        "preferences: {channels: {telegam: false}}",
        "preferences: {categories: {updates: {telegam: false}}}",
    ],
)
def test_every_place_of_a_tenant_that_names_a_channel_is_checked(tmp_path: Path, line: str) -> None:
    found = problems(tmp_path, tenants__default=f"{TENANT}channels: {{telegram: {{}}}}\n{line}\n")
    assert any("`telegam` is no channel, did you mean `telegram`?" in problem for problem in found)


def test_only_channels_with_contacts_of_their_own_can_be_the_accounts(tmp_path: Path) -> None:
    line = "channels: {slack: {contact: account}, sms: {contact: account}}"
    [problem] = problems(tmp_path, tenants__default=f"{TENANT}{line}\n")
    assert "`sms` goes to the phone of the recipient, remove `contact: account`" in problem


def test_a_tenant_without_the_channel_is_at_fault_alone(tmp_path: Path) -> None:
    declared = f"{TENANT}channels: {{telegram: {{}}}}\n"
    path = folder(tmp_path, tenants__default=declared, tenants__acme=TENANT, notifications__all=TELEGRAM)
    loaded = load_apart(path)
    assert loaded.tenants.keys() == {"default"}
    assert "tenant `acme` has no channel `telegram`, add it there or set `tenants`" in loaded.faults["acme"]
