"""The OpenAPI document: whole, its examples accepted, and the application does what it says."""

import json
import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from tocsin.gateway.app import endpoints
from tocsin.gateway.endpoints import Endpoint
from tocsin.gateway.keys import SCOPES
from tocsin.gateway.openapi import document

ENDPOINTS = endpoints()
DOCUMENT: dict[str, Any] = document(ENDPOINTS)
NAMES = [f"{each.method} {each.path}" for each in ENDPOINTS]


def test_each_endpoint_is_an_operation_of_its_own_name() -> None:
    operations = [each for path in DOCUMENT["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names)) == len(ENDPOINTS)
    assert all(each["summary"].endswith(".") for each in operations)


def test_references_lead_somewhere() -> None:
    for reference in re.findall(r'"\$ref":\s*"([^"]+)"', json.dumps(DOCUMENT)):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/")]
        assert found


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=NAMES)
def test_an_example_is_accepted(endpoint: Endpoint) -> None:
    """A producer copies the example: it must fit the type and the schema."""
    if endpoint.body is None:
        assert endpoint.example is None or isinstance(endpoint.example, str), "an example without a type"
        return
    assert endpoint.example is not None, "a body without an example"
    written = msgspec.json.encode(endpoint.example)
    msgspec.json.decode(written, type=endpoint.body)
    example = json.loads(written)
    path = re.sub(r":path\}", "}", endpoint.path)
    body = DOCUMENT["paths"][path][endpoint.method.lower()]["requestBody"]["content"]
    (schema, *_) = [each["schema"] for each in body.values()]
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(example)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=NAMES)
def test_scopes_are_known(endpoint: Endpoint) -> None:
    assert endpoint.scope is None or endpoint.scope in SCOPES
