"""Gate, delivery and the provider sandbox together: a refused mail makes room for the one that waits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from operators.gate_parts import GateInput
from tests.decision.gate_world import MINUTE, NOON, profile
from tests.operators.delivery import Rig
from tests.operators.test_gate_logic import RAW, Process
from tests.operators.test_slots_resume import USER, event, left, messages, started
from tests.sandbox.box import Box
from tests.sandbox.conftest import box, box_process
from tocsin.delivery.runtime import Runtime
from tocsin.formats.codec import ProfileChange
from tocsin.model import topics
from tocsin.model.content import Content, EmailContent
from tocsin.model.message import Message
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.raw import RawRecord
from tocsin.providers.http import HttpPolicy, PyreqwestTransport
from tocsin.providers.sendgrid import SendGrid, SendGridAccount

__all__ = ["box", "box_process"]
Build = Callable[..., Rig]


def letter(_: Message) -> Content:
    return EmailContent(subject="Hi", text="hello", html="<p>hello</p>", sender="from@example.com")


@pytest.fixture
def sendgrid(runtime: Runtime, box: Box) -> Iterator[SendGrid]:
    account = SendGridAccount(
        vendor="sendgrid", api_key=SecretStr("SG.test"), base_url=f"{box.url}/sendgrid", timeout_s=60
    )

    async def build() -> SendGrid:
        return SendGrid("mail", account, PyreqwestTransport(HttpPolicy()), lambda: 0.0)

    made = runtime.run(build(), 60)
    yield made
    runtime.run(made.close(), 60)


def delivered(build: Build, sendgrid: SendGrid, sent: list[Message], process: Process) -> list[GateInput]:
    """Deliver messages that the gate has published; return what the gate reads of them."""
    published = [one for one in process.published.records if one.topic.startswith("messages.email")]
    records = [
        RawRecord(one.topic, 0, offset, NOON, one.key, one.value, ()) for offset, one in enumerate(published)
    ]
    assert len(records) == len(sent)
    made = build([sendgrid], render=letter).feed(*records).until_acked(len(records))
    assert all(one.topic != topics.RETRIES for one in made.out)
    return [GateInput(NOON + 5 * MINUTE, USER, receipt, RAW) for receipt in made.receipts()]


def test_a_refused_mail_makes_room_for_the_one_that_waits(
    rig: Build, sendgrid: SendGrid, box: Box, tmp_path: Path
) -> None:
    """Two mails in ten minutes; the sandbox refuses one of the first two for good, and a third one waits."""
    box.order({"kind": "status", "status": 400}, count=1)
    process = started(tmp_path / "shard", {})
    change = GateInput(NOON, USER, ProfileChange("calm", "ann", profile(devices=())), RAW)
    sent = messages(process.give(change, *(event(minute, n) for n, minute in enumerate((0, 1, 2)))))
    process.epoch()
    assert len(sent) == 2

    receipts = delivered(rig, sendgrid, sent, process)
    assert [one.item.kind for one in receipts if isinstance(one.item, ReceiptEvent)] == ["failed"]
    assert len(box.send_log()) == 1
    out = process.give(*receipts, *receipts, event(5, 9))
    assert left(out) == [("e2", 5)], "the copy of the receipt makes no second place for the last event"
    process.shard.close()
