"""Subscriptions and events that name a topic: what is read, and what is refused with which cure."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import DecodeError
from tocsin.formats.cloudevents import EventLimits, decode_event
from tocsin.formats.forwarded import addressed, rewritten
from tocsin.formats.subscriptions import decode_subscription, subscription_key
from tocsin.model.raw import RawRecord
from tocsin.model.subscription import SubscriptionChange

NOON = 1_780_000_000_000
LIMITS = EventLimits(max_bytes=10_000, max_past_s=86_400, max_future_s=3_600, check_time=True)
NAME = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


def raw(key: bytes | None, value: bytes | None = b"{}") -> RawRecord:
    return RawRecord("subscriptions", 0, 0, NOON, key, value, ())


def event(**fields: object) -> RawRecord:
    body = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {}} | fields
    return RawRecord("events", 2, 7, NOON, None, json.dumps(body).encode(), ())


@given(
    NAME.filter(lambda name: "/" not in name and '"' not in name),
    NAME,
    NAME.filter(lambda one: one[-1] != '"'),
)
def test_any_names_come_back_from_their_key(tenant: str, topic: str, user: str) -> None:
    found = decode_subscription(raw(subscription_key(tenant, topic, user)))
    assert (found.tenant, found.topic, found.user) == (tenant, topic, user)


@pytest.mark.parametrize("value", [None, b"", b"null", b"\xef\xbb\xbfnull"])
def test_nothing_unsubscribes(value: bytes | None) -> None:
    found = decode_subscription(raw(b'"lab/a%2Fb/ann"', value))
    assert found == SubscriptionChange("lab", "a/b", "ann", subscribed=False)


def test_a_value_may_repeat_the_key_and_say_since_when() -> None:
    value = b'{"tenant":"lab","topic":"a/b","user":"ann/1","since":"2026-05-28T20:26:40Z","new":[]}'
    found = decode_subscription(raw(b"lab/a%2Fb/ann/1", value))
    assert found == SubscriptionChange("lab", "a/b", "ann/1", subscribed=True, since_ms=NOON)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        (None, b"{}", "key: not tenant/topic/user; set it to tenant/topic/user"),
        (b"lab/ann", b"{}", "key: not tenant/topic/user"),
        (b"lab//ann", b"{}", "key: not tenant/topic/user"),
        (b"lab/a%2fb/ann", b"{}", "key: not tenant/topic/user"),
        (b"lab/100%/ann", b"{}", "%25 for '%'"),
        (b"lab/t/", b"{}", "key: user is empty"),
        (b"/t/ann", b"{}", "key: tenant is empty"),
        (b"lab/t%01/ann", b"{}", "key: not tenant"),
        (b"lab/t\x01/ann", b"{}", "key: topic is empty, longer than 512 or has control characters"),
        (b"lab/t/\xff", b"{}", "key: not UTF-8"),
        (b"lab/t/ann", b"[]", "xpected `object | null`"),
        (b"lab/t/ann", b"\0\0\0\0\7x", "framed for a schema registry"),
        (b"lab/t/ann", b"{", "value:"),
        (b"lab/t/ann", b"\xff", "not UTF-8"),
        (b"lab/t/ann", b'{"topic":"other"}', "topic: not that of the key; leave it out"),
        (b"lab/t/ann", b'{"user":"bob"}', "user: not that of the key"),
        (b"lab/t/ann", b'{"tenant":3}', "`$.tenant`; leave it out, or repeat the tenant"),
        (b"lab/t/ann", b'{"since":"2026-05-28"}', "since: not RFC 3339; write RFC 3339"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(key: bytes | None, value: bytes, said: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_subscription(raw(key, value))
    assert said in str(refused.value)


def test_an_event_for_a_topic_has_no_user_and_any_subject() -> None:
    found = decode_event(event(tocsintopic="a/b", subject="UA 1545"), LIMITS)
    assert (found.topic, found.user, found.fanned_out) == ("a/b", "", "")
    assert decode_event(event(tocsintopic="a/b"), LIMITS).user == ""


def test_a_subscriber_s_event_has_its_user_and_where_it_comes_from() -> None:
    found = decode_event(event(tocsintopic="a/b", subject="ann", tocsinfanout="events/1/5"), LIMITS)
    assert (found.topic, found.user, found.fanned_out) == ("a/b", "ann", "events/1/5")
    assert decode_event(rewritten(found), LIMITS) == found


def test_an_event_for_a_topic_is_rewritten_as_itself() -> None:
    found = decode_event(event(tocsintopic="a/b", tenant="lab"), LIMITS)
    again = rewritten(found)
    assert again.key == b"lab/a/b"
    assert decode_event(again, LIMITS) == found


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tocsintopic": "t", "recipient": {"email": "a@b.example"}}, "recipient: beside tocsintopic"),
        ({"tocsintopic": "t\n"}, "tocsintopic: holds control characters; name the topic"),
        ({"tocsintopic": "t" * 513}, "tocsintopic: 513 characters"),
        ({"tocsintopic": ""}, "tocsintopic"),
        ({"tocsinfanout": "events/1/5", "subject": "ann"}, "tocsinfanout: without tocsintopic and subject"),
        ({"tocsinfanout": "events/1/5", "tocsintopic": "t"}, "only Tocsin writes it"),
    ],
)
def test_an_event_that_cannot_be_for_a_topic_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode_event(event(**fields), LIMITS)
    assert said in str(refused.value)


@given(NAME)
def test_an_event_is_addressed_to_any_user_as_if_it_were_written_for_that_one(user: str) -> None:
    first = decode_event(event(tocsintopic="t", data={"subject": "\0", "n": 1}), LIMITS)
    whole = msgspec.structs.replace(first, fanned_out="events/1/5")
    assert addressed(whole)(user) == rewritten(msgspec.structs.replace(whole, user=user)).value
