"""What the demo's recipients do: believable shares, always the same, and nothing that changes a decision."""

from collections import Counter

import pytest

from tocsin.decision.receipts import PERMANENT, RECEIPTS, Blocks
from tocsin.devkit.recipients import HABITS, receipts_of
from tocsin.model.ids import digest
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.statuses import Status

COUNT = 4_000


def sent(number: int, channel: str, status: str = "sent") -> Outcome:
    return Outcome(
        outcome_id=f"o{number}",
        status=status,
        tenant="default",
        user=f"u{number}",
        message_id=digest("m", channel, str(number)),
        notification_id=digest("n", str(number)),
        channel=channel,
        at_ms=1_360_195_200_000,
    )


def shares(channel: str) -> dict[str, float]:
    kinds = Counter(one.kind for number in range(COUNT) for one in receipts_of(sent(number, channel)))
    return {kind: count / COUNT for kind, count in kinds.items()}


@pytest.mark.parametrize("channel", HABITS)
def test_shares_are_those_of_the_channel_s_habit(channel: str) -> None:
    habit, found = HABITS[channel], shares(channel)
    left = 1 - habit.bounced / 1000
    expected = {"bounced": habit.bounced / 1000, "delivered": left * habit.reports_delivery}
    expected |= {kind: left * getattr(habit, kind) / 1000 for kind in ("opened", "clicked", "read")}
    for kind, share in expected.items():
        assert found.get(kind, 0) == pytest.approx(share, abs=0.02), kind


@pytest.mark.parametrize("channel", HABITS)
def test_a_message_meets_the_same_fate_each_time_and_in_order(channel: str) -> None:
    for number in range(200):
        message = sent(number, channel)
        found = list(receipts_of(message))
        assert list(receipts_of(message)) == found
        times = [one.at_ms for one in found]
        assert times == sorted(times)
        assert all(message.at_ms < time <= message.at_ms + 3 * 3_600_000 for time in times)
        assert len({one.receipt_id for one in found}) == len(found)


def kinds_and_reasons(channel: str) -> set[tuple[str, str]]:
    found: list[ReceiptEvent] = [one for n in range(COUNT) for one in receipts_of(sent(n, channel))]
    return {(one.kind, one.reason) for one in found}


@pytest.mark.parametrize("channel", HABITS)
def test_nothing_blocks_an_address_or_opts_out(channel: str) -> None:
    for kind, reason in kinds_and_reasons(channel):
        known = RECEIPTS[kind]
        assert known.blocks != Blocks.ALWAYS
        assert reason not in PERMANENT
        assert not known.opts_out


@pytest.mark.parametrize("status", [one for one in Status if one != Status.SENT])
def test_only_what_was_sent_has_receipts(status: str) -> None:
    assert list(receipts_of(sent(1, "email", status))) == []
