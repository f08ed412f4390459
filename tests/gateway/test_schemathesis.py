"""An independent judge reads the OpenAPI document and calls every endpoint, with data that fits or does not.

It looks for faults (5xx); for statuses, media types and bodies that the document does not name; for wrong
data that is accepted; and for methods that should not be there.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.core.failures import Failure, FailureGroup

from tests.gateway.people.conftest import until_ready
from tests.gateway.running import Running, served

_EXAMPLES = 2
# Data that fits the schema may still name a notification or segment that the catalog lacks.
_LEFT = [positive_data_acceptance]


def _failures(schema: Any, address: str, headers: dict[str, str]) -> Iterator[str]:
    """Call every operation; tell what is wrong with the answers."""
    with requests.Session() as session:
        session.trust_env = False
        for result in schema.get_all_operations():
            operation = result.ok()
            for mode in GenerationMode:
                if mode is GenerationMode.POSITIVE or operation.body or operation.query:
                    yield from _judged(operation, mode, address, headers, session)


def _judged(
    operation: Any, mode: GenerationMode, address: str, headers: dict[str, str], session: requests.Session
) -> Iterator[str]:
    found: list[str] = []

    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        try:
            case.call_and_validate(base_url=address, headers=headers, session=session, excluded_checks=_LEFT)
        except (Failure, FailureGroup) as failure:
            found.append(f"{operation.method} {operation.path} {mode}: {failure}")

    call()
    yield from found[:2]


async def test_the_application_is_as_its_document_says(gateway_with_clickhouse: Running) -> None:
    gateway = gateway_with_clickhouse
    await until_ready(gateway)
    schema = schemathesis.openapi.from_dict((await gateway.client.get("/openapi.json")).json())
    # The judge leaves this header away to see what happens, if it is spelled so.
    headers = {"Authorization": gateway.bearing()["authorization"]}
    async with served(gateway.application) as address:
        found = await asyncio.to_thread(lambda: list(_failures(schema, address, headers)))
    assert not found, "\n\n".join(found)
