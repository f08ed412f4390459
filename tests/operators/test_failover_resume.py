"""Failover without a receipt over the real store: a process that dies at any place decides the same."""

import shutil
from pathlib import Path

import msgspec
import pytest

from tests.decision.gate_world import SMALL
from tests.golden.wire import Settings
from tests.operators.test_corrections import KEY, LATER, Owned
from tests.operators.test_suppressions import MINUTE, NOON_MS, SECOND
from tocsin.model import topics
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome

STEPS = 5


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = Path(shutil.copytree(SMALL.parent / "later", tmp_path_factory.mktemp("failover") / "catalog"))
    for tenant in (folder / "tenants").glob("*.yaml"):
        tenant.write_text(f"{tenant.read_text()}failover_after: {{email: 2m}}\n")
    return msgspec.structs.replace(LATER, catalog=str(folder))


def mails(shard: Owned) -> list[Message]:
    found = [one.value or b"" for one in shard.published() if one.topic.startswith("messages.email.")]
    return [msgspec.json.decode(value, type=Message) for value in found]


def live(shard: Owned, crash_after: int) -> tuple[list[Outcome], list[Message]]:
    """Send two mails: one gets its receipt in time, the other none."""

    def done(number: int) -> None:
        if number == crash_after:
            shard.crash()

    for number in range(2):
        shard.event("ann", number * SECOND, type="alarm", id=f"e{number}")
    done(0)
    first, second = mails(shard)[:2]
    for message in (first, second):
        retry = Retry(
            message=message.by_another("first"),
            reason="awaiting_receipt",
            due_ms=NOON_MS + 2 * MINUTE,
            provider="first",
        )
        shard.write(topics.RETRIES, KEY, retry, 3 * SECOND)
    done(1)
    ids = {"notification_id": first.notification_id, "message_id": first.message_id}
    shard.report("delivered", MINUTE, channel="email", notification=first.notification, **ids)
    done(2)
    shard.event("ann", 3 * MINUTE, type="alarm", id="later")
    done(3)
    ids = {"notification_id": second.notification_id, "message_id": second.message_id}
    shard.report("delivered", 4 * MINUTE, channel="email", notification=second.notification, **ids)
    done(4)
    return shard.outcomes(), mails(shard)


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings
) -> tuple[list[Outcome], list[Message]]:
    return live(Owned(tmp_path_factory.mktemp("unbroken") / "shard", settings), -1)


def test_one_is_cancelled_by_its_receipt_and_one_is_sent_by_another_account(
    unbroken: tuple[list[Outcome], list[Message]],
) -> None:
    outcomes, found = unbroken
    words = [(one.status, one.reason) for one in outcomes]
    assert words.count(("held", "awaiting_receipt")) == 2
    assert words.count(("cancelled", "answered")) == 1
    assert words.count(("admitted", "no_receipt")) == 1
    assert [message.sent_by for message in found].count(("first",)) == 1


@pytest.mark.parametrize("place", range(STEPS))
def test_a_crash_changes_no_decision(
    tmp_path: Path, place: int, settings: Settings, unbroken: tuple[list[Outcome], list[Message]]
) -> None:
    assert live(Owned(tmp_path / "shard", settings), place) == unbroken
