"""What one writes first: FastAPI, pydantic, and a `flush()` of confluent-kafka in each request.

Runs in an environment of its own, on uvicorn. The handler is no coroutine, so that requests wait side by side
on threads. It checks no key.
"""

import json
import os
import uuid
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Producer
from fastapi import FastAPI, HTTPException  # type: ignore[import-not-found]  # in an environment of its own
from pydantic import BaseModel

app = FastAPI()
_producer = Producer({"bootstrap.servers": os.environ["BENCH_KAFKA"], "acks": "all"})
_topic = os.environ["BENCH_TOPIC"]
_FLUSH_S = 10


class Notification(BaseModel):
    """What is sent."""

    notification: str
    to: str
    data: dict[str, Any] = {}


@app.post("/v1/notifications", status_code=202)  # type: ignore[untyped-decorator]  # as above
def send(body: Notification) -> dict[str, str]:
    """Write one event, and answer once Kafka has it."""
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/plain",
        "type": "notification.requested",
        "subject": body.to,
        "time": datetime.now(UTC).isoformat(),
        "tocsinnotification": body.notification,
        "data": body.data,
    }
    failed: list[Any] = []
    _producer.produce(
        _topic,
        json.dumps(event).encode(),
        f"default/{body.to}".encode(),
        on_delivery=lambda error, _: failed.append(error) if error else None,
    )
    if _producer.flush(_FLUSH_S) or failed:
        raise HTTPException(503, "Kafka is away")
    return {"event_id": str(event["id"])}
