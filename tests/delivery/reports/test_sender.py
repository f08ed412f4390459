"""Where reports go: to public addresses, whatever a URL wraps them in, and never where an answer leads."""

import pytest

from tests.delivery.reports.test_document import OUTCOME
from tests.providers.scripted_http import Answer, ScriptedHttp
from tocsin.catalog.webhooks import url_problem
from tocsin.delivery.reports.endpoint import Endpoint
from tocsin.delivery.reports.sender import ReportSender, report_transport
from tocsin.errors import DeliveryError, Rejected


async def refusal(url: str, *, allow_private: bool) -> DeliveryError:
    """Post a report, which must fail."""
    sender = ReportSender(report_transport(allow_private=allow_private), lambda: 1_700_000_000)
    try:
        with pytest.raises(DeliveryError) as caught:
            await sender.post(Endpoint("shop", "orders", url, (b"s" * 24,)), OUTCOME)
    finally:
        await sender.close()
    return caught.value


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fec0::1]",
        "[fd00::1]",
    ],
)
async def test_a_host_that_leads_into_a_private_network_is_not_connected_to(host: str) -> None:
    async with ScriptedHttp() as server:
        url = f"https://{host}:{server.url.rpartition(':')[2]}/t"
        assert url_problem(url) == "", "names mean something else tomorrow: the connection is what counts"
        error = await refusal(url, allow_private=False)
    assert (type(error), error.code, server.connections) == (Rejected, "private_address", 0)
    assert host not in str(error)


@pytest.mark.integration
@pytest.mark.parametrize("host", ["a..b", f"{'a' * 70}.example"])
async def test_a_host_that_is_no_name_is_refused_and_stops_nobody_else(host: str) -> None:
    assert (await refusal(f"https://{host}/", allow_private=False)).code == "no_host"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    async with ScriptedHttp(Answer(200)) as inner:
        step = Answer(status, headers=(("Location", f"{inner.url}/admin"),))
        async with ScriptedHttp(step) as server:
            error = await refusal(f"{server.url}/t", allow_private=True)
            assert (str(error), len(server.requests), inner.connections) == (f"HTTP {status}", 1, 0)
