"""The body and headers of a report, by Standard Webhooks."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.model.outcome import Outcome
from tocsin.providers.standard_webhooks import signed_headers, utc_text

_LEFT_OUT: Final = frozenset(
    {"outcome_id", "at_ms", "event_time_ms", "received_ms", "origin", "rule", "latency_ms"}
    | {"provider_ms", "catalog_version", "event_id", "event_source", "event_type", "tenant", "target"}
)
"""Fields that have another form in the report, or are Tocsin's own."""


def report_of(outcome: Outcome) -> bytes:
    """Build the body: a type, a time, and what the outcome says. It holds no address and no text."""
    fields = {
        name: value
        for name, value in msgspec.structs.asdict(outcome).items()
        if value not in ("", {}, 0) and name not in _LEFT_OUT
    }
    event: dict[str, Any] = {
        "id": outcome.event_id,
        "source": outcome.event_source,
        "type": outcome.event_type,
    }
    if outcome.event_time_ms:
        event["time"] = utc_text(outcome.event_time_ms)
    document = {
        "type": f"notification.{outcome.status}",
        "timestamp": utc_text(outcome.at_ms),
        "data": {"outcome_id": outcome.outcome_id, "tenant": outcome.tenant, **fields, "event": event},
    }
    return msgspec.json.encode(document)


def headers_of(endpoint: Endpoint, outcome_id: str, body: bytes, now_s: float) -> Mapping[str, str]:
    """Sign a report; its id is the outcome's, so that a copy is known as one."""
    return signed_headers(outcome_id, now_s, body, endpoint.secrets)
