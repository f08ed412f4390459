"""The listener: a mail is taken only when its receipt is written, and only with a token of ours."""

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.bounces.test_maildir import bounce, names, sent
from tests.bounces.world import ADDRESS, NOW_MS, PATHS, Kept, dsn, failed, path_of, understood
from tocsin.bounces.listener import Listener, read_listen
from tocsin.bounces.maildir import Maildir
from tocsin.bounces.reader import BounceReader, Finished
from tocsin.bounces.returned import Result
from tocsin.errors import SettingsError, SinkError
from tocsin.formats.return_paths import ReturnPaths

pytestmark = pytest.mark.loopback
FBL = "fbl@bounces.example.com"


class Door:
    """A listener that runs, and what it has shown."""

    def __init__(self, folder: Path, reader: BounceReader) -> None:
        self.shown: list[Finished] = []
        self.reader = reader
        box = Maildir(folder, create=True)
        self.listener = Listener(
            reader, PATHS, frozenset({FBL}), box, lambda: NOW_MS, lambda _, done: self.shown.append(done)
        )
        self.port = 0

    async def hand_over(self, raw: bytes, *recipients: str, kind: type[smtplib.SMTP] = smtplib.LMTP) -> Any:
        def talk() -> Any:
            with kind("127.0.0.1", self.port, local_hostname="mx.example.net") as client:
                return client.sendmail("", list(recipients), raw)

        return await asyncio.to_thread(talk)


@asynccontextmanager
async def door(folder: Path, kept: Kept, url: str = "lmtp://127.0.0.1:0") -> AsyncIterator[Door]:
    found = Door(folder, kept.reader())
    server = await found.listener.start(read_listen(url))
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("url", "kind"), [("lmtp://127.0.0.1:0", smtplib.LMTP), ("smtp://127.0.0.1:0", smtplib.SMTP)]
)
async def test_a_report_is_taken_when_its_receipt_is_written(
    url: str, kind: type[smtplib.SMTP], tmp_path: Path
) -> None:
    kept = Kept()
    async with door(tmp_path, kept, url) as at:
        assert await at.hand_over(bounce(1), path_of(sent(1)), kind=kind) == {}
    assert [receipt.user for receipt in kept.receipts] == ["u-1"]
    assert [done.returned.result for done in at.shown] == [Result.PERMANENT]


async def test_the_envelope_names_the_message_where_the_mail_does_not(tmp_path: Path) -> None:
    kept = Kept()
    async with door(tmp_path, kept) as at:
        raw = dsn(failed("550 5.1.1 User unknown"), to="undisclosed", original="Subject: cut")
        await at.hand_over(raw, path_of(sent(3)))
    assert at.shown[0].returned.message_id == sent(3).message_id
    assert at.shown[0].returned.result is Result.UNKNOWN_MESSAGE
    assert len(names(tmp_path / ".quarantine" / "new")) == 1


async def test_the_envelope_is_written_into_the_mail(tmp_path: Path) -> None:
    """A report from the empty sender is one, whatever its author is called; a cut one can be read again."""
    by_gateway = f"From: gateway@example.net\nSubject: Undeliverable\n\n<{ADDRESS}>:\nunknown user\n".encode()
    async with door(tmp_path, Kept()) as at:
        await at.hand_over(by_gateway, path_of(sent(3)))
    assert at.shown[0].returned.message_id == sent(3).message_id
    [kept] = (tmp_path / ".quarantine" / "new").iterdir()
    again = understood(kept.read_bytes())
    assert (again.message_id, again.result) == (sent(3).message_id, Result.PERMANENT)


async def test_while_kafka_is_away_the_mail_server_keeps_the_mail(tmp_path: Path) -> None:
    kept = Kept()
    kept.away = SinkError("Kafka is away")
    async with door(tmp_path, kept) as at:
        with pytest.raises(smtplib.SMTPResponseException) as caught:
            await at.hand_over(bounce(1), path_of(sent(1)))
        assert caught.value.smtp_code == 451
        kept.away = None
        await at.hand_over(bounce(1), path_of(sent(1)))
    assert len(kept.receipts) == 1


@pytest.mark.parametrize(
    ("address", "result"),
    [
        ("ada@bounces.example.com", Result.NO_TOKEN),
        (f"bounce-{ReturnPaths(b'the secret of a stranger').token('0' * 32, 0)}@x.example", Result.FORGED),
    ],
)
async def test_what_is_not_ours_is_refused_at_the_door(address: str, result: Result, tmp_path: Path) -> None:
    kept = Kept()
    async with door(tmp_path, kept) as at:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            await at.hand_over(bounce(1), address)
        assert caught.value.recipients[address][0] == 550
        assert dict(at.reader.counts) == {result.value: 1}
    assert not kept.receipts
    assert names(tmp_path / ".quarantine" / "new") == []


async def test_a_feedback_loops_address_is_let_in_and_the_mark_is_believed(tmp_path: Path) -> None:
    kept = Kept()
    async with door(tmp_path, kept) as at:
        await at.hand_over(bounce(1), FBL.upper())
        await at.hand_over(b"Subject: buy\n\nnow\n", FBL)
    assert [done.returned.result for done in at.shown] == [Result.PERMANENT, Result.NO_TOKEN]
    assert len(kept.receipts) == 1


async def test_a_second_recipient_comes_with_a_transaction_of_its_own(tmp_path: Path) -> None:
    kept = Kept()
    async with door(tmp_path, kept) as at:
        refused = await at.hand_over(bounce(1), path_of(sent(1)), path_of(sent(2)))
    assert [code for code, _ in refused.values()] == [452]
    assert [receipt.user for receipt in kept.receipts] == ["u-1"]


async def test_an_address_that_is_taken_is_a_mistake(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match="choose another address"):
            async with door(tmp_path, Kept(), f"lmtp://127.0.0.1:{port}"):
                pass


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:25", "http://127.0.0.1:25", "lmtp://127.0.0.1", "smtp://x:y", "smtp://x:1/z"]
)
def test_an_address_of_another_form_is_a_mistake(url: str) -> None:
    read: Callable[[str], object] = read_listen
    with pytest.raises(SettingsError, match="--listen"):
        read(url)
