"""Faults to order, over the wire and as a plain object."""

import time

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.box import MESSAGE_ID, Box, mail_document
from tests.waiting import until
from tocsin.devkit.sandbox.faults import Fault, Faults, Match, Order
from tocsin.devkit.sandbox.sent import Call


def call(recipient: str = "ada@example.com", provider: str = "sendgrid", channel: str = "email") -> Call:
    return Call(provider=provider, channel=channel, recipient=recipient)


def test_a_dropped_connection_before_processing_leaves_no_record(box: Box) -> None:
    box.order({"kind": "drop_before"}, count=1)
    with pytest.raises(httpx2.TransportError):
        box.twilio()
    assert box.send_log() == []
    assert box.sent(status="any") == []


def test_a_dropped_connection_after_processing_leaves_a_record(box: Box) -> None:
    box.order({"kind": "drop_after"}, count=1)
    with pytest.raises(httpx2.TransportError):
        box.sendgrid()
    assert [record["message_id"] for record in box.send_log()] == [MESSAGE_ID]


def test_latency_delays_the_answer_not_the_record(box: Box) -> None:
    box.order({"kind": "latency", "latency_ms": 30_000}, count=1)
    with httpx2.Client(timeout=httpx2.Timeout(30, read=0.1)) as impatient, pytest.raises(httpx2.ReadTimeout):
        impatient.post(
            f"{box.url}/sendgrid/v3/mail/send", json=mail_document(), headers={"authorization": "Bearer SG.x"}
        )
    until(lambda: len(box.send_log()) == 1)
    began = time.monotonic()
    box.order({"kind": "latency", "latency_ms": 400}, count=1)
    assert box.sendgrid().status_code == 202
    assert time.monotonic() - began >= 0.4


def test_other_calls_pass_while_one_waits(box: Box) -> None:
    box.order({"kind": "latency", "latency_ms": 30_000}, match={"provider": "twilio"})
    began = time.monotonic()
    assert box.sendgrid().status_code == 202
    assert time.monotonic() - began < 20


def test_a_slow_recipient_is_slow(box: Box) -> None:
    mail = mail_document()
    mail["personalizations"][0]["to"] = [{"email": "slow+ada@example.com"}]
    began = time.monotonic()
    assert box.sendgrid(mail).status_code == 202
    assert time.monotonic() - began >= 2


def test_faults_are_listed_and_lifted(box: Box) -> None:
    first = box.order({"kind": "status", "status": 503}, match={"channel": "sms"})
    second = box.order({"kind": "status", "status": 500}, match={"channel": "push"})
    listed = box.http.get("/faults").json()["faults"]
    assert [standing["id"] for standing in listed] == [first, second]
    assert box.http.delete("/faults", params={"id": first}).json() == {"lifted": 1}
    assert box.twilio().status_code == 201
    assert box.fcm().status_code == 500
    assert box.http.delete("/faults").json() == {"lifted": 1}
    assert box.fcm().status_code == 200


def test_how_often_a_fault_struck_is_told(box: Box) -> None:
    box.order({"kind": "status"}, match={"provider": "twilio"})
    for _ in range(3):
        box.twilio()
    assert box.http.get("/faults").json()["faults"][0]["struck"] == 3


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"fault": {"kind": "explode"}},
        {"fault": {"kind": "status", "status": 200}},
        {"fault": {"kind": "latency", "latency_ms": -1}},
        {"fault": {"kind": "status"}, "match": {"rate": 2}},
        {"fault": {"kind": "status"}, "unknown": 1},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(box: Box, order: object) -> None:
    answer = box.http.post("/faults", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_another_sites_page_cannot_order_faults(box: Box) -> None:
    answer = box.http.post(
        "/faults", json={"fault": {"kind": "status"}}, headers={"origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    assert box.http.get("/faults").json() == {"faults": []}


@given(st.integers(1, 20), st.integers(0, 40))
def test_a_counted_fault_strikes_exactly_so_often(count: int, calls: int) -> None:
    faults = Faults(0)
    faults.order(Order(Fault("status"), count=count))
    struck = sum(faults.rule(call(), 0).fault is not None for _ in range(calls))
    assert struck == min(count, calls)


@given(st.integers(1, 1000), st.lists(st.integers(0, 2000), max_size=30))
def test_a_fault_ends_at_its_time(until: int, times: list[int]) -> None:
    faults = Faults(0)
    faults.order(Order(Fault("status"), until=until))
    ended = False
    for now in times:
        ended = ended or now >= until
        assert (faults.rule(call(), now).fault is None) == ended


def test_latencies_add_up_and_the_first_other_fault_decides() -> None:
    faults = Faults(5)
    faults.order(Order(Fault("latency", latency_ms=10)))
    faults.order(Order(Fault("status", status=500)))
    late = faults.order(Order(Fault("status", status=429)))
    faults.order(Order(Fault("latency", latency_ms=20)))
    ruling = faults.rule(call(), 0)
    assert ruling.latency_ms == 35
    assert ruling.fault == Fault("status", status=500)
    assert late.struck == 0


@given(
    st.sampled_from(["", "sendgrid", "twilio"]),
    st.sampled_from(["", "email", "sms"]),
    st.sampled_from(["", "*@example.com", "ada@*", "bob@example.com"]),
)
def test_a_fault_strikes_only_what_it_matches(provider: str, channel: str, recipient: str) -> None:
    faults = Faults(0)
    faults.order(Order(Fault("status"), Match(provider, channel, recipient)))
    matches = provider != "twilio" and channel != "sms" and not recipient.startswith("bob")
    assert (faults.rule(call(), 0).fault is not None) == matches


def test_a_rate_strikes_about_so_often_and_the_same_calls_again() -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults(0, seed)
        faults.order(Order(Fault("status"), Match(rate=0.3)))
        return [faults.rule(call(), 0).fault is not None for _ in range(2000)]

    assert 500 < sum(struck(1)) < 700
    assert struck(1) == struck(1)
    assert struck(1) != struck(2)


@pytest.mark.parametrize(
    ("recipient", "kind"),
    [
        ("bounce+1@example.com", "bounce"),
        ("dead-token", "dead_token"),
        ("deaddead00", "dead_token"),
        ("ada@example.com", None),
        ("not-bounce+1@example.com", None),
    ],
)
def test_magic_recipients_always_fail(recipient: str, kind: str | None) -> None:
    fault = Faults(0).rule(call(recipient), 0).fault
    assert (fault.kind if fault else None) == kind
