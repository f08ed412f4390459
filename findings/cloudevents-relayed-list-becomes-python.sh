#!/usr/bin/env bash
# An event that the Python SDK of CloudEvents reads in structured mode and writes in binary mode is no longer JSON if its data is a list.
#
# Package: cloudevents 2.2.0 (its bindings for Kafka and for HTTP).
# Seen, of a structured event with datacontenttype application/json, "critical": true and "data": [{"gate": null, "late": true}]:
#   Kafka  value [{'gate': None, 'late': True}], header ce_critical: True
#   HTTP   the same body, header ce-critical: True
# A list and a boolean are written as Python prints them. CloudEvents writes a boolean as true, and content type application/json promises
# JSON. The SDK itself reads such data again as one text, and the boolean as the text "True". Structured mode keeps both. A list of numbers
# looks alike in both languages, so a test with [1, 2] passes.
# Guess from memory: the two modes carry the same event, and a relay may change from one to the other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet cloudevents==2.2.0

cat >"$folder/try.py" <<'PY'
import json
import sys

from cloudevents.core.bindings import http, kafka

DATA = [{"gate": None, "late": True}]
PRINTED = b"[{'gate': None, 'late': True}]"
EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/gates",
    "type": "flight.delayed",
    "datacontenttype": "application/json",
    "critical": True,
    "data": DATA,
}


def read(message):
    event = kafka.from_kafka_event(message)
    return event, (event.get_data(), event.get_extension("critical"))


given = {"content-type": b"application/cloudevents+json"}
event, first = read(kafka.KafkaMessage(headers=given, key=None, value=json.dumps(EVENT).encode()))
record, request = kafka.to_binary_event(event), http.to_binary_event(event)
_, from_binary = read(record)
_, from_structured = read(kafka.to_structured_event(event))
print(f"read first:           {first}")
print(f"written to Kafka:     {record.value}, ce_critical {record.headers['ce_critical']}")
print(f"written by HTTP:      {request.body}, ce-critical {request.headers['ce-critical']}")
print(f"read from binary:     {from_binary}")
print(f"read from structured: {from_structured}")
same = (
    first == from_structured == (DATA, True)
    and record.value == request.body == PRINTED
    and record.headers["ce_critical"].decode() == request.headers["ce-critical"] == "True"
    and from_binary == (PRINTED.decode(), "True")
)
if not same:
    sys.exit("the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/try.py"
