"""The report: the reference library verifies it, and it holds what is the tenant's business only."""

import json
import time

from standardwebhooks import Webhook

from tocsin.delivery.reports.document import headers_of, report_of
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.model.outcome import Outcome
from tocsin.providers.standard_webhooks import secret_bytes

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OUTCOME = Outcome(
    outcome_id="0af1ba8df1974d37ab40279a72bbdf95",
    status="dead",
    tenant="shop",
    user="ada",
    notification_id="n" * 32,
    message_id="m" * 32,
    event_id="order-7",
    event_source="/shop",
    event_type="order.shipped",
    event_time_ms=1_700_000_000_000,
    origin="events/3/17",
    notification="order_shipped",
    channel="sms",
    target="0123456789abcdef",
    reason="rejected",
    code="30007",
    attempt=2,
    at_ms=1_700_000_001_500,
)


def test_the_reference_library_takes_it_and_its_id_is_that_of_the_outcome() -> None:
    endpoint = Endpoint(
        "shop", "orders", "https://x.example", (b"another secret of 24 byt", secret_bytes(SECRET))
    )
    body = report_of(OUTCOME)
    headers = headers_of(endpoint, OUTCOME.outcome_id, body, time.time())
    assert headers["webhook-id"] == OUTCOME.outcome_id
    assert Webhook(SECRET).verify(body, dict(headers)) == json.loads(body)


def test_it_says_what_became_of_the_notification() -> None:
    assert json.loads(report_of(OUTCOME)) == {
        "type": "notification.dead",
        "timestamp": "2023-11-14T22:13:21.500Z",
        "data": {
            "outcome_id": "0af1ba8df1974d37ab40279a72bbdf95",
            "tenant": "shop",
            "status": "dead",
            "user": "ada",
            "notification_id": "n" * 32,
            "message_id": "m" * 32,
            "notification": "order_shipped",
            "channel": "sms",
            "reason": "rejected",
            "code": "30007",
            "attempt": 2,
            "event": {
                "id": "order-7",
                "source": "/shop",
                "type": "order.shipped",
                "time": "2023-11-14T22:13:20.000Z",
            },
        },
    }
