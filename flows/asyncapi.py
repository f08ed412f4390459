"""The topics as an AsyncAPI 3 document. Its payloads are the JSON Schemas that stand beside it."""

from collections.abc import Mapping
from typing import Any

from flows.topic_records import EVENT, FORWARD_HEADERS, TopicRecord
from sources.topics import TopicPlan, topic_config
from tocsin.app.settings import Settings
from tocsin.formats.cloudevents import Envelope
from tocsin.model import topics

Node = dict[str, Any]

_BINDING = "0.5.0"
_DIALECT = "application/schema+json;version=draft-2020-12"
_PREFIX = Settings.model_fields["topic_prefix"].default
_NULLS = {topics.PROFILES: "erasure", topics.SUBSCRIPTIONS: "unsubscription"}
_PARTITIONS = Settings.model_fields["partitions"].default
_INFO = {
    "title": "Tocsin",
    "version": "1.0.0",
    "description": "Topics through which domain events become notifications. Keyed topics have equal"
    " partition counts, and a record lies on its user's partition: murmur2(tenant/user), Java's way.",
    "license": {"name": "Apache License 2.0"},
}
_CE_HEADERS = {
    f"ce_{name}": {"type": "string", "description": f"binary mode: the attribute `{name}`"}
    for name in Envelope.__struct_fields__
    if not name.startswith("data")
}


def document(records: Mapping[str, TopicRecord]) -> Node:
    """Build the document for these topics."""
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {"bootstrap": {"default": Settings.model_fields["kafka"].default}},
            }
        },
        "channels": {identifier(name): _channel(name, record) for name, record in records.items()},
        "operations": _operations(records),
        "components": {"messages": _messages(records)},
    }


def identifier(topic: str) -> str:
    """Name a topic where only letters, digits, `-` and `_` may stand."""
    return topic.replace(".", "_")


def _channel(name: str, record: TopicRecord) -> Node:
    config: Node = topic_config(name, TopicPlan(_PARTITIONS))
    numbers = {key: int(value) for key, value in config.items() if value.isdecimal()}
    policy = {"cleanup.policy": [config["cleanup.policy"]]}
    return {
        "address": f"{{prefix}}{name}",
        "description": topics.purpose(name),
        "parameters": {"prefix": {"default": _PREFIX, "description": "TOCSIN_TOPIC_PREFIX"}},
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in _kinds(name, record)},
        "bindings": {
            "kafka": {
                "partitions": _PARTITIONS,
                "topicConfiguration": policy | numbers,
                "bindingVersion": _BINDING,
            }
        },
    }


def _kinds(name: str, record: TopicRecord) -> tuple[str, ...]:
    kind = record.payload or name
    return (kind, _NULLS[name]) if name in _NULLS else (kind,)


def _operations(records: Mapping[str, TopicRecord]) -> Node:
    """Say what Tocsin itself does: it receives what producers and its own flows write, and sends the rest."""
    made: Node = {}
    for name, record in records.items():
        channel = identifier(name)
        if record.read_by and name != topics.DEAD:
            made[f"receive_{channel}"] = _operation("receive", channel, record.read_by)
        if record.written_by != "producers":
            flows = record.written_by.removeprefix("producers, ")
            made[f"send_{channel}"] = _operation("send", channel, flows)
    return made


def _operation(action: str, channel: str, flows: str) -> Node:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": f"flow: {flows}",
    }


def _messages(records: Mapping[str, TopicRecord]) -> Node:
    made = {record.payload: _message(record) for record in records.values() if record.payload}
    made["erasure"] = {
        "summary": "A null value erases the user: state, held notifications and versions.",
        "payload": {"type": "null"},
        "bindings": _key("tenant/user"),
    }
    made["unsubscription"] = {
        "summary": "A null value unsubscribes the user from the topic.",
        "payload": {"type": "null"},
        "bindings": _key(records[topics.SUBSCRIPTIONS].key),
    }
    made[topics.DEAD] = {
        "summary": "A record that could not be handled: its bytes, and what is known of it in headers.",
        "contentType": "application/octet-stream",
        "headers": {"schemaFormat": _DIALECT, "schema": {"$ref": "dead-headers.schema.json"}},
        "payload": {"description": "the original value"},
        "bindings": _key("the original key"),
    }
    return made


def _message(record: TopicRecord) -> Node:
    message: Node = {
        "payload": {"schemaFormat": _DIALECT, "schema": {"$ref": f"{record.payload}.schema.json"}},
        "bindings": _key(record.key),
    }
    if "decide" in record.read_by:
        message = {"headers": _headers(binary=record.payload == EVENT)} | message
    if record.payload == EVENT:
        message["contentType"] = "application/cloudevents+json"
    return message


def _headers(*, binary: bool) -> Node:
    forwarded: Node = {
        name: {"type": "string", "description": text} for name, text in FORWARD_HEADERS.items()
    }
    return {"type": "object", "properties": (_CE_HEADERS if binary else {}) | forwarded}


def _key(text: str) -> Node:
    return {"kafka": {"key": {"type": "string", "description": text}, "bindingVersion": _BINDING}}
