"""An IMAP folder is read to its end; a lost connection at any moment loses nothing and doubles nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bounces.real_imap import Dovecot, dovecot, installed
from tests.bounces.scripted_imap import PASSWORD, ScriptedImap
from tests.bounces.test_maildir import bounce
from tests.bounces.world import Kept
from tocsin.bounces import imap as module
from tocsin.bounces.imap import IMAP_ERRORS, ImapAddress, ImapFolder, read_address
from tocsin.bounces.returned import Result
from tocsin.errors import SettingsError, SinkError

pytestmark = pytest.mark.loopback
SPAM = b"From: a@b.example\r\nSubject: hi\r\n\r\nhello\r\n"
Server = ScriptedImap | Dovecot


@contextmanager
def running(kind: str) -> Iterator[Server]:
    if kind == "dovecot":
        if not installed():
            pytest.skip("dovecot is not installed")
        with dovecot() as real:
            yield real
    else:
        with ScriptedImap(*kind.split()) as scripted:
            yield scripted


def folder_of(port: int) -> ImapFolder:
    return ImapFolder(ImapAddress("127.0.0.1", port, "bounces", "INBOX", tls=False), PASSWORD)


@pytest.mark.parametrize(
    "kind", ["MOVE IDLE", "UIDPLUS", "", "dovecot"], ids=["move", "uidplus", "plain", "dovecot"]
)
def test_reports_are_read_and_moved(kind: str) -> None:
    kept = Kept()
    with running(kind) as server:
        box = folder_of(server.port)
        try:
            server.deliver(bounce(0))
            server.deliver(SPAM)
            server.deliver(bounce(1))
            assert [done.returned.result for _, done in box.peek(kept.reader())] == [
                Result.PERMANENT,
                Result.NO_TOKEN,
                Result.PERMANENT,
            ]
            assert len(server.lies_in("INBOX")) == 3, "looking moves nothing"
            kept.receipts.clear()
            assert len(list(box.read(kept.reader()))) == 3
            server.deliver(bounce(2))
            assert [done.returned.result for _, done in box.read(kept.reader())] == [Result.PERMANENT]
            assert box.waiting() == 0
        finally:
            box.close()
        prefix = "" if kind == "dovecot" else "INBOX."
        assert [receipt.user for receipt in kept.receipts] == ["u-0", "u-1", "u-2"]
        assert server.lies_in("INBOX") == []
        assert len(server.lies_in(f"{prefix}tocsin-read")) == 3
        assert len(server.lies_in(f"{prefix}tocsin-quarantine")) == 1


def test_nothing_moves_before_kafka_has_the_receipt(tmp_path: Path) -> None:
    kept = Kept()
    kept.away = SinkError("Kafka is away")
    with ScriptedImap("MOVE") as server:
        server.deliver(bounce(0))
        box = folder_of(server.port)
        with pytest.raises(SinkError):
            list(box.read(kept.reader()))
        assert len(server.lies_in("INBOX")) == 1
        kept.away = None
        list(box.read(kept.reader()))
        box.close()
        assert (len(kept.receipts), server.lies_in("INBOX")) == (1, [])


@pytest.mark.parametrize("after", [3, 6, 9, 11, 13, 15])
def test_a_connection_that_is_cut_loses_and_doubles_nothing(
    after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    kept = Kept()
    with ScriptedImap(cut_after=after) as server:
        for number in range(4):
            server.deliver(bounce(number))
        box = folder_of(server.port)
        try:
            list(box.read(kept.reader()))
        except IMAP_ERRORS:
            box.forget()
        server.cut_after = 0
        list(box.read(kept.reader()))
        box.close()
        assert server.lies_in("INBOX") == []
        assert len(set(server.lies_in("INBOX.tocsin-read"))) == 4
    assert len({receipt.receipt_id for receipt in kept.receipts}) == 4


def test_a_new_mail_ends_the_wait_where_the_server_has_idle() -> None:
    kept = Kept()
    with ScriptedImap("MOVE", "IDLE") as server:
        box = folder_of(server.port)
        list(box.read(kept.reader()))
        threading.Timer(0.1, server.deliver, [bounce(0)]).start()
        box.wait(threading.Event(), 5)
        assert len(list(box.read(kept.reader()))) == 1
        box.close()


def test_a_mail_that_is_too_large_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 5_000)
    kept = Kept()
    with ScriptedImap("MOVE") as server:
        server.deliver(b"X: " + b"y" * 6_000)
        server.deliver(bounce(0))
        box = folder_of(server.port)
        found = [done.returned.result for _, done in box.read(kept.reader())]
        box.close()
    assert found == [Result.UNREADABLE, Result.PERMANENT]


def test_a_server_elsewhere_gets_no_password_in_clear() -> None:
    with ScriptedImap() as server:
        box = ImapFolder(ImapAddress("127.0.0.2", server.port, "bounces", "INBOX", tls=False), PASSWORD)
        with pytest.raises(IMAP_ERRORS):
            list(box.read(Kept().reader()))


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("imaps://me@mail.example.com", ImapAddress("mail.example.com", 993, "me", "INBOX", tls=True)),
        (
            "imap://me%40example.com@mail.example.com:1143/Returned%20mail",
            ImapAddress("mail.example.com", 1143, "me@example.com", "Returned mail", tls=False),
        ),
    ],
)
def test_an_address(url: str, wanted: ImapAddress) -> None:
    assert read_address(url) == wanted


@pytest.mark.parametrize(
    "url", ["", "mail.example.com", "https://me@x", "imaps://x", "imaps://a:b@x", "imap://a@x:y"]
)
def test_an_address_of_another_form_is_a_mistake(url: str) -> None:
    with pytest.raises(SettingsError, match="imaps://user@host/FOLDER"):
        read_address(url)
