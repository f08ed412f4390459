"""The published contracts are those of the code, and every example on their page is read by the codecs."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from flows import contracts
from flows.asyncapi import document, identifier
from flows.topic_records import DEAD_HEADERS, FORWARD_HEADERS, PAYLOADS, topics_table
from operators.decode import Decoder
from operators.decode_parts import DecodePolicy
from sources.clocks import PartitionClocks
from sources.decode_errors import DecodeErrorLimit, DecodeErrorPolicy
from sources.partitioner import partition_of
from tocsin.app.metric_defs import METRICS
from tocsin.catalog.loader import load
from tocsin.decision.gate import Gate
from tocsin.decision.policy import GatePolicy
from tocsin.errors import DecodeError
from tocsin.formats import codec
from tocsin.formats.cloudevents import Envelope, EventLimits
from tocsin.formats.forwarded import rewritten
from tocsin.formats.profile_corrections import CORRECTED_HEADER
from tocsin.formats.subscriptions import decode_subscription
from tocsin.model import topics
from tocsin.model.event import Event
from tocsin.model.ids import message_id, notification_id, outcome_id, target_id
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome, ReceiptEvent
from tocsin.model.profile import Profile
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Reason, Status

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / contracts.PAGE).read_text()
LIMITS = EventLimits(262_144, 7 * 86_400, 3_600, check_time=True)
KEY, PARTITION = b"default/ada", partition_of(b"default/ada", 16)
SCHEMAS = contracts.schemas()


def examples(heading: str) -> list[Any]:
    """Give the JSON examples under a heading of the page."""
    section = PAGE.split(f"\n## {heading}", 1)[1].split("\n## ", 1)[0]
    return [json.loads(text) for text in re.findall(r"```json\n(.*?)\n```", section, re.DOTALL)]


EVENT, PROFILE = examples("Event")[0], examples("Profile")[0]
MESSAGE, RETRY, DEAD = examples("Message")[0], examples("Retry")[0], examples("Dead letter")[0]
ADMITTED, SENT = examples("Outcome")
RECEIPT = examples("Receipt")[0]
(SUBSCRIPTION,) = examples("Subscription")
ALL = [
    ("event", EVENT),
    ("profile", PROFILE),
    ("message", MESSAGE),
    ("outcome", ADMITTED),
    ("outcome", SENT),
    ("receipt", RECEIPT),
    ("retry", RETRY),
    ("event", examples("Event")[1]),
    ("subscription", SUBSCRIPTION),
    ("dead-headers", DEAD["headers"]),
]


def raw(topic: str, value: object, *, offset: int = 0, at_ms: int = MESSAGE["received_ms"]) -> RawRecord:
    """Make a record of a topic."""
    return RawRecord(topic, PARTITION, offset, at_ms, KEY, msgspec.json.encode(value), ())


def event() -> Event:
    """Decode the page's event where the page says it stood."""
    topic, partition, offset = MESSAGE["origin"]
    assert partition == PARTITION
    return codec.decode_event(raw(topic, EVENT, offset=offset), LIMITS)


def test_what_is_published_is_what_the_code_says() -> None:
    stale = [
        str(path) for path, text in contracts.contract_files().items() if (ROOT / path).read_text() != text
    ]
    stale += [str(path) for path, text in contracts.pages(ROOT).items() if (ROOT / path).read_text() != text]
    assert not stale, "run `python -m flows.contracts`"


def test_nothing_else_is_published() -> None:
    there = {path.relative_to(ROOT) for path in (ROOT / contracts.FOLDER).iterdir()}
    assert there == set(contracts.contract_files())


def test_the_page_holds_the_table_of_topics() -> None:
    assert topics_table() in PAGE
    assert all(f"| `{name}` |" in PAGE for name in topics.ALL)


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="<!-- metrics -->"):
        contracts.page(contracts.OPERATIONS, "# Operations\n")


def test_every_metric_is_explained() -> None:
    text = contracts.page(contracts.OPERATIONS, "<!-- metrics -->\nformer text\n<!-- /metrics -->")
    assert all(f"| `{name}` | " in text for name in METRICS)
    assert "former text" not in text


def test_a_changed_type_changes_its_schema() -> None:
    wider = msgspec.defstruct("Profile", [("nickname", str, "")], bases=(Profile,), frozen=True)
    assert contracts.schema_of(wider) != SCHEMAS["profile"]
    assert "nickname" in contracts.schema_of(wider)["properties"]


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schemas_are_json_schema(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["description"]


@pytest.mark.parametrize(("name", "example"), ALL)
def test_examples_fit_their_schemas(name: str, example: dict[str, Any]) -> None:
    assert not list(Draft202012Validator(SCHEMAS[name]).iter_errors(example))
    assert set(example) <= set(SCHEMAS[name]["properties"]) | {"tocsin-original-content-type"}


@pytest.mark.parametrize(("name", "example"), ALL)
def test_schemas_refuse_what_lacks_a_field(name: str, example: dict[str, Any]) -> None:
    for field in SCHEMAS[name]["required"]:
        rest = {key: value for key, value in example.items() if key != field}
        assert list(Draft202012Validator(SCHEMAS[name]).iter_errors(rest)), field


@pytest.mark.parametrize(
    ("record", "decode", "kind"),
    [
        (raw("profiles", PROFILE), lambda one: codec.decode_profile(one).profile, Profile),
        (raw("messages.push.now", MESSAGE), codec.decode_message, Message),
        (raw("outcomes", ADMITTED), codec.decode_outcome, Outcome),
        (raw("outcomes", SENT), codec.decode_outcome, Outcome),
        (raw("receipts", RECEIPT), codec.decode_receipt, ReceiptEvent),
        (raw("retries", RETRY), codec.decode_retry, Retry),
    ],
)
def test_examples_are_read_by_the_codecs(record: RawRecord, decode: Any, kind: type[msgspec.Struct]) -> None:
    read = decode(record)
    assert isinstance(read, kind)
    assert set(json.loads(record.value or b"")) <= set(kind.__struct_fields__)
    again = json.loads(codec.encode(read))
    shown = json.loads(record.value or b"")
    assert again == {name: value for name, value in shown.items() if name in again}
    assert {name: value for name, value in shown.items() if name not in again} in ({}, {"reason": ""})


def test_the_examples_are_one_story() -> None:
    """What the page shows after the event is what the gate and the shipped catalog make of it."""
    gate = Gate(load(ROOT / "examples" / "flights"), GatePolicy())
    change = codec.decode_profile(raw("profiles", PROFILE))
    record = gate.on_profile(None, change.tenant, change.user, change.profile, MESSAGE["decided_ms"]).record
    step = gate.on_event(record, event(), MESSAGE["decided_ms"], rewritten(event()))
    found = [json.loads(codec.encode(one)) for one in (*step.messages, *step.outcomes)]
    pushed = [one for one in found if one["channel"] == "push"]
    versions = {"catalog_version": MESSAGE["catalog_version"]}
    assert [one | versions for one in pushed] == [MESSAGE, ADMITTED]


def test_ids_of_the_examples_are_hashes_of_what_they_name() -> None:
    one = event()
    name = notification_id(one.tenant, one.source, one.id, one.user, MESSAGE["notification"], str(one.origin))
    assert MESSAGE["notification_id"] == name
    target = target_id(PROFILE["devices"][0]["token"])
    assert MESSAGE["message_id"] == message_id(name, "push", target)
    assert SENT["outcome_id"] == outcome_id(MESSAGE["message_id"], Status.SENT, 1)
    assert target == SENT["target"] == RECEIPT["target"]


def test_the_retry_is_the_message_with_its_next_attempt() -> None:
    assert RETRY["message"] == MESSAGE | {"attempt": RETRY["message"]["attempt"]}
    assert RETRY["due_ms"] > RETRY["first_failed_ms"]


def test_the_dead_letter_is_what_its_record_gives() -> None:
    headers = DEAD["headers"]
    origin = headers["tocsin-topic"], int(headers["tocsin-partition"]), int(headers["tocsin-offset"])
    content_type = headers["tocsin-original-content-type"].encode()
    read = RawRecord(
        *origin,
        int(headers["tocsin-first-ms"]),
        DEAD["key"].encode(),
        DEAD["value"].encode(),
        (("content-type", content_type),),
    )
    with pytest.raises(DecodeError) as refused:
        codec.decode_event(read, LIMITS)
    letter = codec.dead_letter(read, headers["tocsin-stage"], refused.value.reason, str(refused.value))
    assert {name: data.decode() for name, data in letter.headers} == headers
    assert (letter.key, letter.value) == (read.key, read.value)
    again = RawRecord("dead", 0, 0, 0, letter.key, letter.value, letter.headers)
    assert codec.read_dead_letter(again).origin_offset == read.offset


def test_headers_of_dead_letters_are_all_listed() -> None:
    letter = codec.dead_letter(raw("events", EVENT), "decode", Reason.BAD_JSON, "")
    assert {name for name, _ in letter.headers} == set(DEAD_HEADERS)


def test_headers_of_forwarded_records_are_all_listed() -> None:
    policy = DecodePolicy(16, 8, LIMITS)
    decode = Decoder(policy, PartitionClocks(), DecodeErrorLimit(DecodeErrorPolicy(), lambda *_: None))
    away = raw("profiles", PROFILE)._replace(key=b"default/ada", partition=(PARTITION + 1) % 16)
    routed: Any = decode([away])
    assert [one.step for one in routed] == ["outbox"]
    assert {name for one in routed[0].bundle for name, _ in one.headers} == FORWARD_HEADERS.keys() - {
        CORRECTED_HEADER
    }


def test_the_event_schema_has_what_the_codec_reads() -> None:
    assert set(SCHEMAS["event"]["properties"]) == set(Envelope.__struct_fields__)
    with pytest.raises(DecodeError, match="data_base64: beside `data`"):
        codec.decode_event(raw("events", EVENT | {"data_base64": "e30="}), LIMITS)


def test_the_example_of_a_topic_and_its_subscription_are_about_one_topic() -> None:
    event = codec.decode_event(raw("events", examples("Event")[1]), LIMITS)
    key = re.search(r"`(default/flight%2F[^`]*)`", PAGE)
    assert key is not None
    change = decode_subscription(raw("subscriptions", SUBSCRIPTION)._replace(key=key[1].encode()))
    assert (change.tenant, change.topic, event.user) == (event.tenant, event.topic, "")
    assert (change.user, change.subscribed) == ("ada", True)
    assert 0 < change.since_ms < event.time_ms


@given(st.sampled_from(sorted(EVENT)), st.one_of(st.none(), st.integers(), st.lists(st.text(), max_size=1)))
def test_the_event_schema_is_never_stricter_than_the_codec(field: str, value: object) -> None:
    changed = EVENT | {field: value}
    if list(Draft202012Validator(SCHEMAS["event"]).iter_errors(changed)):
        with pytest.raises(DecodeError):
            codec.decode_event(raw("events", changed), LIMITS)


DOCUMENT = document(PAYLOADS)


def test_the_document_names_every_topic_once() -> None:
    addresses = [channel["address"] for channel in DOCUMENT["channels"].values()]
    assert sorted(addresses) == sorted(f"{{prefix}}{name}" for name in topics.ALL)
    assert set(DOCUMENT["channels"]) == {identifier(name) for name in topics.ALL}


def references(node: object) -> list[str]:
    """List every `$ref` in a document."""
    if isinstance(node, list):
        return [found for child in node for found in references(child)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if "$ref" in node else []
    return own + [found for child in node.values() for found in references(child)]


def test_every_reference_of_the_document_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert len(found) > 20
    for reference in found:
        if not reference.startswith("#/"):
            assert (ROOT / contracts.FOLDER / reference).is_file(), reference
            continue
        node: Any = DOCUMENT
        for part in reference[2:].split("/"):
            node = node[part]
        assert node


def test_the_document_is_plain_yaml_with_the_settings_of_the_topics() -> None:
    read = yaml.safe_load((ROOT / contracts.FOLDER / "asyncapi.yaml").read_text())
    assert read == DOCUMENT
    assert read["asyncapi"] == "3.0.0"
    profiles = read["channels"]["profiles"]
    assert profiles["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"] == ["compact"]
    assert set(profiles["messages"]) == {"profile", "erasure"}


def test_the_document_says_who_reads_and_who_writes() -> None:
    operations = DOCUMENT["operations"]
    assert operations["receive_events"]["action"] == "receive"
    assert operations["send_events"]["summary"] == "flow: decide", "to the subscribers of topics"
    assert operations["send_profiles"]["summary"] == "flow: decide", "where receipts correct profiles"
    assert "send_subscriptions" not in operations
    assert {"send_outcomes", "receive_outcomes", "send_dead", "send_receipts"} <= set(operations)
    assert "receive_dead" not in operations
    assert "receive_messages_webpush_now" in operations
