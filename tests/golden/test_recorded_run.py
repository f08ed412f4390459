"""Recorded runs give the same decisions and ids as when they were recorded; see README.md."""

from functools import cache
from pathlib import Path

import pytest

from tests.golden import compare, rules, translate, wire
from tests.golden.driver import REASONS, STATUSES, Machine, read_store, receipts_as_recorded
from tests.golden.record import PLANS, STORE, replay, restart_place

CHANNELS = ("email", "sms", "push", "inapp")
# Delivery says these, or nobody yet; the gate cannot.
NOT_OF_THE_GATE = {
    "merged": "a word that the recorded catalogs do not have",
    "digest": "a word that the recorded catalogs do not have",
    "escalation": "a word that the recorded catalogs do not have",
    "answered": "a receipt of a notification with later steps",
    "seen": "a receipt of a notification that stops when it is seen",
    "fan_out": "the fan-out holds an event that names a topic, not the gate",
    "rescheduled": "a word that the recorded catalogs do not have",
    "cancelled_by_event": "a control event, which the recorded release did not know",
    "cancel_applied": "a control event, which the recorded release did not know",
    "nothing_to_cancel": "a control event, which the recorded release did not know",
    "collapsed": "the recorded release sent the older one, too",
    "send_window": "the recorded release called it quiet_hours",
    "finished": "the end of a broadcast",
    "broadcast": "a broadcast that is under way",
    "paused": "a broadcast that was paused",
    "unknown_notification": "the recorded release did not know events that ask for one by name",
    "no_asked_channel": "the recorded release did not know events that ask for channels",
    "uploading": "a broadcast that waits for the list of its users",
    "missed": "an occurrence of a schedule",
    "replayed": "a replay returned a message; outcomes do not say it",
    "already_sent": "delivery ends a replay of what was sent",
    "sent": "an attempt of delivery",
    "retrying": "an attempt of delivery",
    "render_error": "delivery renders",
    "attachment": "delivery fetches attachments",
    "throttled": "a provider's answer",
    "transient": "a provider's answer",
    "unknown": "a provider's answer that never came",
    "rejected": "a provider's answer",
    "misconfigured": "a provider's answer",
    "out_of_attempts": "delivery counts attempts",
    "stale_profile": "the send ledger finds it; the gate reads it and decides again",
    "resent_after_unknown": "delivery after a crash",
    "found_after_unknown": "delivery asks a provider after a crash",
    "awaiting_receipt": "the recorded release did not wait for receipts",
    "no_receipt": "the recorded release did not wait for receipts",
    "outdated": "a profile forwarded again by a shard that lost its state",
    "resubscribed": "a receipt of a kind that the recorded release did not know",
    "holdout": "the recorded release had no experiments",
    "tenant_inactive": "the recorded release had no inactive tenants",
    "bad_catalog": "the recorded release did not start with a mistake in the files of one tenant",
    "unblocked": "a receipt of a kind that the recorded release did not know",
}
# Reasons under each status of the gate and of decoding. A receipt of a bounce carries the provider's own.
WORDS = {
    "admitted": {""},
    "held": {"quiet_hours", "scheduled", "awaiting_profile", "limit_hold", "retry_later"},
    "suppressed": {
        "no_match", "duplicate", "duplicate_key", "opted_out", "channel_off", "category_off",
        "notification_off", "snoozed", "limit", "no_channel", "target_blocked", "erased",
    },
    "cancelled": {"no_match"},
    "expired": {"too_late"},
    "dead": {
        "bad_json", "bad_utf8", "bad_field", "too_large", "no_subject", "time_out_of_range", "bad_expression",
        "unknown_user", "forward_loop",
    },
    "delivered": {""},
    "bounced": {"permanent", "transient", "recipient_gone"},
    "complained": {""},
    "opened": {""},
    "clicked": {""},
    "unsubscribed": {"", "recipient_opted_out"},
    "read": {""},
}  # fmt: skip


@pytest.fixture(autouse=True)
def as_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third user of the runs unsubscribes. Left out, they would cover much less."""
    receipts_as_recorded(monkeypatch)


@cache
def stored(name: str) -> tuple[wire.Settings, list[wire.Line], wire.Outputs]:
    folder = wire.RUNS / name
    return *wire.read_inputs(folder / "inputs.jsonl.xz"), wire.read_outputs(folder / "outputs.jsonl.xz")


@pytest.mark.parametrize("name", PLANS)
def test_a_recorded_run_gives_the_same_decisions_and_ids(name: str, tmp_path: Path) -> None:
    settings, lines, recorded = stored(name)
    got = translate.comparable(replay(tmp_path / "shard", settings, lines).records)
    story = compare.difference(lines, translate.expected(recorded.records), got)
    assert not story, f"run {name}: {story}"


def test_every_status_and_reason_of_the_gate_occurs() -> None:
    kinds = {kind for name in PLANS for kind in compare.totals(stored(name)[2].records)}
    words = {kind[1:] for kind in kinds if kind[0] == "outcomes"}
    assert words == {(status, reason) for status, reasons in WORDS.items() for reason in reasons}
    said = {word for pair in words for word in pair}
    explained = (said - {"", "permanent"}) | NOT_OF_THE_GATE.keys()
    assert explained == STATUSES | REASONS, "record what meets a new word, or say here why the gate cannot"


def test_every_kind_of_record_occurs() -> None:
    topics = {record.topic for name in PLANS for record in stored(name)[2].records}
    messages = {f"messages.{channel}.{way}" for channel in CHANNELS for way in ("now", "bulk")}
    assert topics == {"outcomes", "dead", "versions", "events", "bulk"} | messages


def test_a_store_of_a_release_loads_and_its_users_are_decided_as_then(tmp_path: Path) -> None:
    """Every rule reads the state that another release wrote: what was held, counted, blocked, remembered."""
    settings, lines, recorded = stored("rules")
    at = restart_place(lines, rules.STORE_AT_RESTART)
    folder, rows = read_store(STORE, tmp_path)
    machine = Machine(folder, settings, rows, _wall_ms(lines[:at]))
    for line in lines[at + 1 :]:
        machine.play(line)
    later = translate.expected(recorded.records[recorded.restarts[rules.STORE_AT_RESTART] :])
    story = compare.difference(lines[at:], later, translate.comparable(machine.finish().records))
    assert not story, story
    assert compare.totals(later)["outcomes", "admitted", ""] > 500


def _wall_ms(lines: list[wire.Line]) -> int:
    return max(line.wall_ms for line in lines if isinstance(line, wire.Epoch))


def test_a_difference_is_told_by_the_story_of_one_user() -> None:
    _, lines, recorded = stored("demo")
    changed = list(recorded.records)
    at = next(number for number, one in enumerate(changed) if b'"status":"suppressed"' in (one.value or b""))
    changed[at] = changed[at]._replace(value=(changed[at].value or b"").replace(b"suppressed", b"admitted"))
    story = compare.difference(lines, recorded.records, changed)
    assert "1 users differ" in story
    assert "value.status: expected 'suppressed', got 'admitted'" in story
    assert "the story of default/passenger-" in story


def test_the_order_of_one_user_s_outcomes_counts() -> None:
    _, lines, recorded = stored("demo")
    places = [number for number, one in enumerate(recorded.records) if one.topic == "outcomes"]
    user = recorded.records[places[0]].key
    first, second, *_ = [at for at in places if recorded.records[at].key == user]
    changed = list(recorded.records)
    changed[first], changed[second] = changed[second], changed[first]
    assert "totals by topic, status and reason are equal" in compare.difference(
        lines, recorded.records, changed
    )
