"""`tocsin bounces` as a person calls it: killed in the middle, looked at, refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sources.reader import TopicReader
from tests.bounces.test_maildir import bounce, box, names
from tests.bounces.world import SECRET, dsn
from tests.sources.mock_kafka import MockCluster
from tests.waiting import until
from tocsin.cli.main import build, main
from tocsin.formats.codec import decode_receipt
from tocsin.model import topics
from tocsin.model.outcome import ReceiptEvent

pytestmark = pytest.mark.loopback
MANY = 450
OLD = ("--token-days", "9999")
"""The messages are of 2023, and the files of today."""
_STOPPING = """
import sys
from tocsin.bounces.maildir import Maildir
from tocsin.cli.main import main

moves, move = iter(range(int(sys.argv.pop(1)))), Maildir._move

def stopping(*arguments):
    if next(moves, None) is None:
        sys.stdin.read()
    move(*arguments)

Maildir._move = stopping
main()
"""
SPAM = b"From: a@b.example\nSubject: hi\n\nhello\n"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SECRET", SECRET.decode())
    monkeypatch.setenv("TOCSIN_PARTITIONS", "1")


def written(cluster: MockCluster) -> list[ReceiptEvent]:
    with TopicReader(cluster.bootstrap, "tocsin.") as reader:
        return [decode_receipt(record) for record in reader.read(topics.RECEIPTS)]


def started(cluster: MockCluster, folder: Path, most_moves: int = MANY) -> subprocess.Popen[bytes]:
    """Run the command; after so many moves it stands still."""
    words = ["bounces", "--maildir", str(folder), "--json", *OLD]
    environment = os.environ | {"TOCSIN_KAFKA": cluster.bootstrap}
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", _STOPPING, str(most_moves), *words]
    return subprocess.Popen(argv, env=environment, stdin=pipe, stdout=pipe)


def test_a_kill_in_the_middle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    box(tmp_path, *map(bounce, range(MANY)))
    with MockCluster() as cluster:
        cluster.create("tocsin.receipts", 1)
        first = started(cluster, tmp_path, most_moves=250)
        until(lambda: len(names(tmp_path / "cur")) == 250, "the moves before the kill")
        first.send_signal(signal.SIGKILL)
        first.communicate()
        left = len(names(tmp_path / "new"))
        before = written(cluster)
        assert left == MANY - 250, "killed between the first mail of a batch and its last"
        assert len(before) >= MANY - left, "no mail has moved without its receipt"
        out, _ = started(cluster, tmp_path).communicate()
        receipts = written(cluster)
    assert json.loads(out.splitlines()[-1]) == {"mails": left, "results": {"permanent": left}}
    assert names(tmp_path / "new") == []
    assert len({receipt.receipt_id for receipt in receipts}) == MANY
    assert {receipt.user for receipt in receipts} == {f"u-{number}" for number in range(MANY)}
    assert len(receipts) - MANY <= 400, (
        "what was written and had not moved comes once more, with the same ids"
    )


def test_a_dry_run_says_what_each_mail_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box(tmp_path, bounce(1), SPAM, dsn("Final-Recipient: rfc822;x@y.example\nAction: delayed"))
    command = ["bounces", "--maildir", str(tmp_path), "--dry-run", "--json", *OLD]
    build(command)(command, standalone_mode=False)
    *mails, totals = map(json.loads, capsys.readouterr().out.splitlines())
    assert [mail["result"] for mail in mails] == ["permanent", "no_token", "delayed"]
    assert mails[0]["user"] == "u-1"
    assert (mails[0]["verdict"], mails[0]["code"]) == ("address gone", "5.1.1")
    assert totals == {"mails": 3, "results": {"permanent": 1, "delayed": 1, "no_token": 1}}
    assert "@" not in json.dumps(mails)
    assert len(names(tmp_path / "new")) == 3


def test_kafka_away_leaves_the_mails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tocsin.cli.bounces_kafka.TIMEOUT_S", 0.3)
    monkeypatch.setattr("sys.argv", ["tocsin", "bounces", "--maildir", str(tmp_path), *OLD])
    box(tmp_path, bounce(1))
    with MockCluster() as cluster:
        monkeypatch.setenv("TOCSIN_KAFKA", cluster.bootstrap)
        cluster.create("tocsin.receipts", 1)
        cluster.fail(0, *[5] * 100)
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1
    assert "stay where they are" in " ".join(capsys.readouterr().err.split())
    assert len(names(tmp_path / "new")) == 1


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ((), "one of --maildir, --imap and --listen"),
        (("--maildir", "nowhere"), "no Maildir"),
        (("--maildir", "x", "--imap", "y"), "one of --maildir, --imap and --listen"),
        (("--listen", "lmtp://127.0.0.1:0", "--dry-run"), "not with --listen"),
        (("--listen", "127.0.0.1:25"), "--listen: must be lmtp://"),
        (("--imap", "imaps://me@x"), "set TOCSIN_IMAP_PASSWORD"),
        (("--imap", "mail.example.com", "--imap-password", "x"), "imaps://user@host/FOLDER"),
        (("--imap", "imaps://me@x", "--imap-password", "x", "--imap-ca", "nowhere.pem"), "cannot be read"),
    ],
)
def test_a_mistake_has_its_cure(
    words: tuple[str, ...],
    cure: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tocsin", "bounces", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (2, 78)
    assert cure in " ".join(capsys.readouterr().err.split())
