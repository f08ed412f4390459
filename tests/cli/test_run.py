"""`tocsin run` refuses what it cannot run in a sentence, before it asks a server."""

from pathlib import Path

import pytest

from flows.supervisor import REFUSED
from tocsin.cli.main import main

# Loading a client of ClickHouse asks the machine whether it speaks IPv6.
pytestmark = pytest.mark.loopback


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["run", "--flow", "nosuch"],
            "✗ --flow: there is no flow nosuch; there are: pipeline, decide, deliver, track, reports\n",
        ),
        (
            ["run", "--channel", "fax", "--channel", "sms"],
            "✗ --channel: `fax` is no channel, use email, sms, push, webpush, inapp, whatsapp, voice, slack,"
            " webhook, or declare it under `channels:` of the tenant\n",
        ),
        (
            ["demo", "--broker", "rabbit"],
            "✗ --broker: there is no broker rabbit; there are: embedded, apache\n",
        ),
    ],
)
def test_what_there_is_not_is_told_with_what_there_is(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["tocsin", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capfd.readouterr().err) == (2, told)


def test_a_start_is_said_before_anything_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TOCSIN_CATALOG", str(tmp_path / "nowhere"))
    monkeypatch.setenv("TOCSIN_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr("sys.argv", ["tocsin", "run", "--flow", "decide"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capfd.readouterr()
    assert ended.value.code == REFUSED, err
    assert out.startswith("1 shard starts, flow decide; warnings are written here.")
