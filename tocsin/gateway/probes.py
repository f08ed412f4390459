"""Probes of the gateway, for load balancers and clusters."""

from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint


async def _alive(_call: Call) -> Answer:
    return Answer(200, {"alive": True})


async def _ready(call: Call) -> Answer:
    """Tell whether records can be written. A gateway that stops says no: callers go elsewhere."""
    gateway = call.gateway
    ready = gateway.checks.report().healthy and not gateway.stopping.is_set()
    return Answer(200 if ready else 503, {"ready": ready})


ENDPOINTS = (
    Endpoint("GET", "/livez", _alive, "Tell whether the process serves.", answers={200: dict[str, bool]}),
    Endpoint(
        "GET",
        "/readyz",
        _ready,
        "Tell whether Kafka takes records.",
        answers={200: dict[str, bool], 503: dict[str, bool]},
    ),
)
