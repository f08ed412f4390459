"""Calls Amazon for SNS: fetches the certificates that its messages name, and confirms subscriptions.

Every address was checked before: a server of SNS over TLS (`tocsin.providers.sns_signature`). The calls go to
public addresses only, follow no redirect, and are few: a forged message cannot make many.
"""

import asyncio
import logging
from collections import OrderedDict

from tocsin.errors import DeliveryError
from tocsin.gateway.problems import Problem, not_ready
from tocsin.providers.http import Transport

_log = logging.getLogger("tocsin.gateway.callbacks")
_TIMEOUT_S = 5.0
_MOST_CERTIFICATES = 32
_MOST_BYTES = 65_536
_AT_ONCE = 4


class Amazon:
    """Certificates by address, each fetched once.

    Args:
        transport: calls public addresses only.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def certificate(self, url: str) -> bytes:
        """Return the certificate at an address.

        Raises:
            Problem: 503, it cannot be had now.
        """
        if url in self._known:
            self._known.move_to_end(url)
            return self._known[url]
        async with self._few:
            found = self._known.get(url) or await self._get(url, "the certificate of SNS")
        self._known[url] = found
        if len(self._known) > _MOST_CERTIFICATES:
            self._known.popitem(last=False)
        return found

    async def confirm(self, url: str) -> None:
        """Confirm a subscription, so that its topic begins to report.

        Raises:
            Problem: 503, SNS did not take it; it posts again.
        """
        await self._get(url, "the confirmation of a subscription of SNS")
        _log.info("a subscription of SNS is confirmed")

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def _get(self, url: str, what: str) -> bytes:
        try:
            answer = await self._transport.request("GET", url, {}, b"", _TIMEOUT_S)
        except DeliveryError as error:
            raise _away(what, error.code or type(error).__name__) from None
        if answer.status != 200 or len(answer.body) > _MOST_BYTES:
            raise _away(what, f"HTTP {answer.status}")
        return answer.body


def _away(what: str, why: str) -> Problem:
    _log.warning("%s: %s", what, why)
    return not_ready(f"{what} cannot be had now; send it again", 20)
