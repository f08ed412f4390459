"""A Maildir is read to its end; a crash at any moment loses nothing and doubles nothing."""

from pathlib import Path

import pytest

from tests.bounces.world import NOW_MS, SENT, Kept, dsn, failed, path_of
from tests.providers.samples import MARKS, message
from tocsin.bounces import maildir as module
from tocsin.bounces.maildir import Maildir
from tocsin.bounces.reader import LookupAwayError
from tocsin.bounces.returned import Result
from tocsin.errors import SettingsError, SinkError
from tocsin.formats.codec import encode
from tocsin.formats.marks import Marks
from tocsin.formats.receipts import read_receipt
from tocsin.model.ids import digest
from tocsin.model.message import Message
from tocsin.model.outcome import ReceiptEvent

GONE = failed("550 5.1.1 User unknown", "5.1.1")


def sent(number: int) -> Message:
    return message("email", message_id=digest("sent", str(number)), user=f"u-{number}")


def bounce(number: int) -> bytes:
    one = sent(number)
    return dsn(GONE, to=path_of(one), original=f"X-Tocsin-Mark: {MARKS.of(one)}")


def box(folder: Path, *mails: bytes) -> Maildir:
    found = Maildir(folder, create=True)
    for number, raw in enumerate(mails):
        (folder / "new" / f"{number:05}.host").write_bytes(raw)
    return found


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_report_moves_on_and_its_receipt_is_written(tmp_path: Path) -> None:
    kept = Kept()
    done = list(box(tmp_path, bounce(1), b"From: a@b.example\nSubject: hi\n\nhello\n").read(kept.reader()))
    assert [finished.returned.result for _, finished in done] == [Result.PERMANENT, Result.NO_TOKEN]
    assert [receipt.user for receipt in kept.receipts] == ["u-1"]
    assert names(tmp_path / "cur") == ["00000.host:2,S"]
    assert names(tmp_path / ".quarantine" / "new") == ["00001.host"]
    assert names(tmp_path / "new") == []
    assert read_receipt(encode(kept.receipts[0])) == kept.receipts[0], "the gate reads it"


def test_a_second_reading_gives_the_same_receipts(tmp_path: Path) -> None:
    kept = Kept()
    list(box(tmp_path, *map(bounce, range(5))).read(kept.reader()))
    again = Kept()
    list(box(tmp_path, *map(bounce, range(5))).read(again.reader()))
    assert [each.receipt_id for each in kept.receipts] == [each.receipt_id for each in again.receipts]
    assert len({each.receipt_id for each in kept.receipts}) == 5


@pytest.mark.parametrize("error", [SinkError("Kafka is away"), LookupAwayError("Redis is away")])
def test_nothing_moves_before_kafka_has_the_receipt(tmp_path: Path, error: Exception) -> None:
    kept, folder = Kept(), box(tmp_path, bounce(1), bounce(2))
    kept.away = error
    with pytest.raises(type(error)):
        list(folder.read(kept.reader()))
    assert len(names(tmp_path / "new")) == 2
    kept.away = None
    list(folder.read(kept.reader()))
    assert (len(kept.receipts), names(tmp_path / "new")) == (2, [])


def test_an_end_between_batches_leaves_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    kept, folder = Kept(), box(tmp_path, *map(bounce, range(10)))
    reading = folder.read(kept.reader())
    for _ in range(4):  # the first of the second batch
        next(reading)
    del reading
    assert len(kept.receipts) == 6
    assert len(names(tmp_path / "new")) == 6, "receipts of two are written, and their mails lie there still"
    list(folder.read(kept.reader()))
    assert names(tmp_path / "new") == []
    ids = [each.receipt_id for each in kept.receipts]
    assert (len(ids), len(set(ids))) == (12, 10), "the two that were written twice have the same ids"


def test_a_mail_that_another_process_took_is_passed_over(tmp_path: Path) -> None:
    folder = box(tmp_path, bounce(1), bounce(2))

    class Racing(Kept):
        def write(self, receipts: list[ReceiptEvent]) -> None:  # type: ignore[override]  # narrower on purpose
            (tmp_path / "new" / "00000.host").unlink()
            super().write(receipts)

    kept = Racing()
    assert len(list(folder.read(kept.reader()))) == 2
    assert names(tmp_path / "new") == []


def test_a_report_without_a_mark_finds_its_user_elsewhere(tmp_path: Path) -> None:
    kept = Kept()
    raw = dsn(GONE, original="Subject: cut")
    named = Marks(b"the secret of these tests").open(MARKS.of(SENT))
    assert named
    folder = box(tmp_path, raw)
    assert [each.returned.result for _, each in folder.read(kept.reader())] == [Result.UNKNOWN_MESSAGE]
    assert names(tmp_path / ".quarantine" / "new") == ["00000.host"]
    kept.known[SENT.message_id] = named
    (done,) = list(box(tmp_path, raw).read(kept.reader()))
    assert done[1].returned.result is Result.PERMANENT
    assert kept.receipts[0].user == SENT.user


def test_a_large_mail_is_not_read(tmp_path: Path) -> None:
    kept = Kept()
    folder = box(tmp_path, b"X: " + b"y" * 10_000_001, bounce(1))
    assert [each.returned.result for _, each in folder.read(kept.reader())] == [
        Result.UNREADABLE,
        Result.PERMANENT,
    ]


def test_a_dry_run_moves_and_writes_nothing(tmp_path: Path) -> None:
    kept, folder = Kept(), box(tmp_path, bounce(1))
    reader = Kept().reader()
    assert [name for name, _ in folder.peek(reader)] == ["00000.host"]
    assert (names(tmp_path / "new"), kept.receipts) == (["00000.host"], [])


def test_a_folder_that_is_no_maildir_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no Maildir"):
        Maildir(tmp_path)


def test_what_came_another_way_is_kept_for_a_person(tmp_path: Path) -> None:
    folder = box(tmp_path)
    folder.keep(b"forged", "1.host")
    assert (tmp_path / ".quarantine" / "new" / "1.host").read_bytes() == b"forged"
    assert NOW_MS > 0
