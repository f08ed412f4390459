"""No receipt in time: another account sends, once, unless a receipt comes; whatever comes when."""

import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decision.gate_world import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    SMALL,
    World,
    profile,
    said,
    with_preferences,
)
from tests.delivery.test_attempt import POLICY
from tests.providers.messages import record
from tocsin.catalog.loader import Catalog, load
from tocsin.delivery.attempt import Answered, AttemptState, transition
from tocsin.delivery.records import ProviderCall, expand
from tocsin.model import topics
from tocsin.model.ids import target_id
from tocsin.model.message import Message, Retry
from tocsin.providers.base import Receipt

ACCOUNTS = ("first", "second", "third")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = Path(shutil.copytree(SMALL, tmp_path_factory.mktemp("failover") / "catalog"))
    tenant = folder / "tenants/quiet.yaml"
    tenant.write_text(f"{tenant.read_text()}failover_after: {{email: 2m}}\n")
    return load(folder)


@pytest.fixture
def ann(catalog: Catalog) -> World:
    world = World(catalog=catalog)
    world.profile(profile())
    return world


def admitted(world: World, at: int = 0) -> Message:
    step = world.event("flight.landed", at=at, event_id=f"e{at}")
    return next(message for message in step.messages if message.channel == "email")


def took(world: World, message: Message, at: int, account: str, *, others: bool = True) -> list[Retry]:
    """Let an account take a message, and the gate read what delivery returns then."""
    state = AttemptState(record(message, 0), message, message.attempt)
    call = ProviderCall(NOON + at, account)
    step = transition(POLICY, state, Answered(Receipt("id"), call, NOON + at, awaits_receipt=others))
    out = expand(state.record, message, step.outputs)
    return [msgspec.json.decode(one.value or b"", type=Retry) for one in out if one.topic == topics.RETRIES]


def read(world: World, retry: Retry, at: int) -> list[tuple[str, str, str]]:
    due = retry.due_ms - NOON
    return said(
        world.retry(retry.message, at=at, due=due, reason=retry.reason, attempt=retry.message.attempt)
    )


def report(world: World, kind: str, message: Message, at: int, **fields: str) -> None:
    world.receipt(
        kind,
        at=at,
        message_id=message.message_id,
        notification_id=message.notification_id,
        notification=message.notification,
        channel=message.channel,
        **fields,
    )


def test_only_channels_that_ask_for_it_wait_for_receipts(ann: World) -> None:
    step = ann.event("flight.landed")
    assert {message.channel: message.failover_ms for message in step.messages} == {
        "email": 120_000,
        "inapp": 0,
    }


def test_without_a_receipt_another_account_sends_it(ann: World) -> None:
    message = admitted(ann)
    (retry,) = took(ann, message, SECOND, "first")
    assert retry.due_ms == NOON + SECOND + 2 * MINUTE
    assert read(ann, retry, 2 * SECOND) == [("held", "awaiting_receipt", "email")]
    ann.advance(2 * MINUTE)
    assert ann.messages[-1].channel != "email" or ann.messages[-1] is message
    ann.advance(2 * MINUTE + SECOND)
    second = ann.messages[-1]
    assert said(ann.steps[-1]) == [("admitted", "no_receipt", "email")]
    assert (second.sent_by, second.generation, second.attempt) == (("first",), 1, 1)
    assert (second.replay_of, second.target) == (message.message_id, message.target)
    assert second.message_id == message.failover_id != message.message_id
    assert ann.timers == {}


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked", "read"])
def test_a_receipt_in_time_cancels_it(ann: World, kind: str) -> None:
    message = admitted(ann)
    (retry,) = took(ann, message, 0, "first")
    read(ann, retry, SECOND)
    report(ann, kind, message, MINUTE)
    assert ("cancelled", "answered", "email") in said(ann.steps[-1])
    assert ann.timers == {}
    ann.advance(HOUR)
    assert len([one for one in ann.messages if one.channel == "email"]) == 1


def test_a_receipt_that_is_read_before_the_return_cancels_it_too(ann: World) -> None:
    message = admitted(ann)
    (retry,) = took(ann, message, 0, "first")
    report(ann, "delivered", message, SECOND)
    assert read(ann, retry, 2 * SECOND) == [("cancelled", "answered", "email")]
    left = ann.record("ann")
    assert left is not None
    assert (ann.timers, left.engaged) == ({}, b"")


def test_a_receipt_of_another_message_cancels_nothing(ann: World) -> None:
    message, other = admitted(ann), admitted(ann, SECOND)
    (retry,) = took(ann, message, SECOND, "first")
    read(ann, retry, SECOND)
    report(ann, "delivered", other, MINUTE)
    assert len(ann.timers) == 1


def test_a_late_receipt_changes_nothing(ann: World) -> None:
    message = admitted(ann)
    (retry,) = took(ann, message, 0, "first")
    read(ann, retry, SECOND)
    ann.advance(3 * MINUTE)
    before = len(ann.messages)
    report(ann, "delivered", message, 4 * MINUTE)
    assert said(ann.steps[-1]) == [("delivered", "", "email")]
    assert (len(ann.messages), ann.timers) == (before, {})


@pytest.mark.parametrize("returned_first", [True, False], ids=["held", "at its account"])
def test_a_late_receipt_of_the_first_message_keeps_a_third_account_from_sending(
    ann: World, returned_first: bool
) -> None:
    message = admitted(ann)
    (retry,) = took(ann, message, 0, "first")
    read(ann, retry, SECOND)
    ann.advance(3 * MINUTE)
    second = ann.messages[-1]
    if not returned_first:
        report(ann, "delivered", message, 3 * MINUTE)
    (again,) = took(ann, second, 3 * MINUTE, "second")
    read(ann, again, 3 * MINUTE)
    if returned_first:
        report(ann, "delivered", message, 4 * MINUTE)
    ann.advance(HOUR)
    assert ann.messages[-1] is second
    assert ann.timers == {}
    assert [(one.status, one.reason) for one in ann.outcomes if one.reason == "answered"] == [
        ("cancelled", "answered")
    ]


@pytest.mark.parametrize("reported", [1, 2, 3])
def test_a_late_receipt_while_the_third_account_has_it_keeps_a_fourth_from_sending(
    ann: World, reported: int
) -> None:
    sent, at = [admitted(ann)], 0
    for account in ("first", "second"):
        (retry,) = took(ann, sent[-1], at, account)
        read(ann, retry, at + SECOND)
        at += 3 * MINUTE
        ann.advance(at)
        sent.append(ann.messages[-1])
    assert len({message.message_id for message in sent}) == 3
    report(ann, "delivered", sent[reported - 1], at)
    (again,) = took(ann, sent[-1], at, "third")
    read(ann, again, at + SECOND)
    ann.advance(HOUR)
    assert ann.messages[-1] is sent[-1]
    assert (ann.timers, ann.outcomes[-1].reason) == ({}, "answered")


def test_an_address_that_is_gone_is_sent_nothing_more(ann: World) -> None:
    message = admitted(ann)
    (retry,) = took(ann, message, 0, "first")
    read(ann, retry, SECOND)
    report(ann, "bounced", message, MINUTE, reason="permanent", target=target_id(message.target.address))
    ann.advance(HOUR)
    assert said(ann.steps[-1]) == [("suppressed", "target_blocked", "email")]


def test_who_opts_out_meanwhile_is_sent_nothing_more(ann: World) -> None:
    (retry,) = took(ann, admitted(ann), 0, "first")
    read(ann, retry, SECOND)
    ann.profile(with_preferences(channels={"email": False}), at=MINUTE)
    ann.advance(HOUR)
    assert said(ann.steps[-1]) == [("suppressed", "channel_off", "email")]


def test_a_copy_of_the_return_is_not_decided_again(ann: World) -> None:
    (retry,) = took(ann, admitted(ann), 0, "first")
    assert read(ann, retry, SECOND)
    assert read(ann, retry, SECOND) == []


@given(st.data())
def test_whatever_comes_when_an_account_sends_once_and_none_after_a_receipt_in_time(
    catalog: Catalog, data: st.DataObject
) -> None:
    """Three accounts; each receipt comes before the return is read, before it is due, late, or never."""
    world = World(catalog=catalog)
    world.profile(profile())
    waiting, at = [admitted(world)], 0
    sent: list[str] = []
    answered = heard_late = False
    while waiting:
        message = waiting.pop()
        assert not answered, "sent although the receipt had come"
        answered = heard_late  # it is at its account already, so it goes; no third one follows
        left = [name for name in ACCOUNTS if name not in message.sent_by]
        account = data.draw(st.sampled_from(left))
        sent.append(account)
        found = took(world, message, at, account, others=len(left) > 1)
        assert len(found) == (len(left) > 1)
        when = data.draw(st.sampled_from(["early", "in time", "late", "never"]))
        if when == "early":
            report(world, "delivered", message, at)
        for retry in found:
            read(world, retry, at + SECOND)
            if when == "in time":
                report(world, "opened", message, at + MINUTE)
        answered |= when in ("early", "in time")
        before, at = len(world.messages), at + 3 * MINUTE
        world.advance(at)
        waiting += world.messages[before:]
        if when == "late":
            report(world, "delivered", message, at)
            report(world, "delivered", message, at)
            heard_late = True
    assert len(sent) == len(set(sent))
    assert world.timers == {}
    ends = Counter(one.message_id for one in world.outcomes if one.status in ("cancelled", "suppressed"))
    assert not ends or max(ends.values()) == 1
