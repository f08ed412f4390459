"""`tocsin topics`: the topics of the channels in use, also where catalog and accounts cannot be read."""

from pathlib import Path

import pytest

from tests.catalog.test_loader import TENANT, folder
from tocsin.cli.main import main


def listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr("sys.argv", ["tocsin", "topics", *words])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr()
    return said.out + said.err


def test_the_topics_of_the_channels_in_use_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder(tmp_path / "catalog", tenants__default=f"{TENANT}channels: {{telegram: {{}}}}\n")
    monkeypatch.setenv("TOCSIN_CATALOG", str(path))
    monkeypatch.setenv("TOCSIN_PROVIDERS", str(tmp_path / "none.yaml"))
    said = listed(monkeypatch, capsys, "list")
    assert "tocsin.messages.telegram.bulk" in said
    assert "tocsin.messages.email.now" in said
    assert "messages.sms" not in said


def test_without_a_catalog_those_of_the_first_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOCSIN_CATALOG", str(tmp_path / "none"))
    said = listed(monkeypatch, capsys, "list")
    assert "catalog or accounts cannot be read" in said
    assert "tocsin.messages.webpush.now" in said


def test_a_name_that_is_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = listed(monkeypatch, capsys, "create", "--channel", "No Channel")
    assert "--channel 'No Channel': use a-z" in said
