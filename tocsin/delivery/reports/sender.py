"""Posts reports. A 2xx means that the endpoint has it; redirects are not followed."""

from collections.abc import Awaitable, Callable

from tocsin.delivery.reports.document import headers_of, report_of
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.model.outcome import Outcome
from tocsin.providers.http import Clock, HttpPolicy, Transport
from tocsin.providers.standard_webhooks import LIMITS, error_of
from tocsin.providers.transports import open_transport

Post = Callable[[Endpoint, Outcome], Awaitable[None]]


class ReportSender:
    """Posts the reports of all endpoints over one set of connections.

    Args:
        transport: carries requests; `report_transport` opens one that calls public addresses only.
        clock: wall time in seconds, which signatures carry.
    """

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock

    async def post(self, endpoint: Endpoint, outcome: Outcome) -> None:
        """Post one report.

        Raises:
            DeliveryError: the endpoint has not taken it; the text holds nothing of its answer.
        """
        body = report_of(outcome)
        headers = headers_of(endpoint, outcome.outcome_id, body, self._clock())
        answer = await self._transport.request("POST", endpoint.url, headers, body, LIMITS.timeout_s)
        if not 200 <= answer.status < 300:
            raise error_of(answer, self._clock())

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()


def report_transport(*, allow_private: bool) -> Transport:
    """Open connections to public addresses, or to any: URLs of endpoints come from tenants."""
    return open_transport(HttpPolicy(public_only=not allow_private))
