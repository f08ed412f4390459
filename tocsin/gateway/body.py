"""Reads the body of a request within limits: of size, of time, and of what was signed."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256

from starlette.types import Receive

from tocsin.gateway.body_budget import SMALL_BYTES, BodyBudget
from tocsin.gateway.direct import Direct
from tocsin.gateway.problems import Problem

BODY_S = 15.0
"""Seconds in which a whole body must have come."""
_DRAINED_BYTES = 1 << 18
_DRAINED_S = 2.0
_OTHER_BODY = "the body is not the one that was signed: sign the SHA-256 of the bytes you send"


class Body:
    """The body of one request.

    Args:
        receive: gives its parts, as ASGI messages.
        headers: of the request, by name in lower case.
        max_bytes: largest body that is accepted.
        budget: of all bodies of the process.
        direct: the short way to our server; None under another one.
    """

    __slots__ = (
        "_budget",
        "_direct",
        "_hashed",
        "_headers",
        "_held",
        "_is_ended",
        "_max_bytes",
        "_receive",
        "_signed",
        "_size",
    )

    def __init__(
        self,
        receive: Receive,
        headers: Mapping[str, str],
        max_bytes: int,
        budget: BodyBudget,
        direct: Direct | None = None,
    ) -> None:
        self._direct = direct
        self._budget = budget
        self._held = 0
        self._receive = receive
        self._headers = headers
        self._max_bytes = max_bytes
        self._size = 0
        self._is_ended = False
        self._signed = ""

    def hold_against(self, signed: str) -> None:
        """Accept only a body with this SHA-256, in hex digits."""
        self._signed, self._hashed = signed, sha256()

    async def whole(self) -> bytes:
        """Read all of it.

        Raises:
            Problem: it is larger than the endpoint allows (413), comes too slowly (408), is not the body that
                was signed (401), or does not fit beside those of other requests (503).
        """
        self._budget.check(self._declared())
        if self._direct is not None and (came := self._direct.body()) is not None:
            return self._hold(self._take(came, is_last=True))
        try:
            async with asyncio.timeout(BODY_S):
                parts = [self._hold(await self._part())]
                while not self._is_ended:
                    parts.append(self._hold(await self._part()))
        except TimeoutError:
            raise _too_slow(f"send the whole body within {BODY_S:g} s") from None
        return b"".join(parts) if len(parts) > 1 else parts[0]

    async def parts(self, part_s: float = BODY_S) -> AsyncIterator[bytes]:
        """Read it part by part. What was read counts only when the end has come without a problem.

        Args:
            part_s: longest wait for the next part.

        Raises:
            Problem: as of `whole`; of a signed request, 401 comes in place of the last part.
        """
        self._declared()
        while not self._is_ended:
            try:
                # No task is made for the wait: that would take most of the time.
                async with asyncio.timeout(part_s):
                    part = await self._part()
            except TimeoutError:
                raise _too_slow(f"send each part within {part_s:g} s of the one before") from None
            if part:
                yield part

    def _hold(self, part: bytes) -> bytes:
        """Hold a part as long as the request lasts."""
        if self._size > SMALL_BYTES:
            self._budget.check(self._size, self._held)
            self._budget.hold(self._size - self._held)
            self._held = self._size
        return part

    def free(self) -> None:
        """Give the memory back: the request has ended."""
        if self._held:
            self._budget.free(self._held)
            self._held = 0

    async def _part(self) -> bytes:
        """Receive the next part."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Problem(400, "the connection ended before the body did")
        return self._take(message.get("body", b""), is_last=not message.get("more_body", False))

    def _take(self, part: bytes, *, is_last: bool) -> bytes:
        """Take a part; the last one only if the whole is what was signed."""
        self._size += len(part)
        if self._size > self._max_bytes:
            raise self._too_large()
        if self._signed:
            self._hashed.update(part)
        if is_last:
            self._is_ended = True
            if self._signed and not hmac.compare_digest(self._hashed.hexdigest(), self._signed):
                raise Problem(401, _OTHER_BODY)
        return part

    def _declared(self) -> int:
        """Return the declared length, 0 for none; refuse a body that is too large before it is read."""
        text = self._headers.get("content-length", "")
        declared = int(text[:20]) if text.isascii() and text.isdigit() else 0
        if declared > self._max_bytes:
            raise self._too_large()
        return declared

    def _too_large(self) -> Problem:
        cure = f"send at most {self._max_bytes} bytes"
        return Problem(413, cure, headers={"connection": "close"})

    async def drained(self) -> bool:
        """Read away a small body that the handler left unread; tell whether none is left.

        A connection that is closed with bytes unread is reset, and the client may lose the answer.
        """
        length = self._headers.get("content-length", "0")
        if self._is_ended or (length == "0" and "transfer-encoding" not in self._headers):
            return True
        if not (length.isascii() and length.isdigit() and 0 < int(length[:20]) <= _DRAINED_BYTES):
            return False
        try:
            async with asyncio.timeout(_DRAINED_S):
                return await self._is_read_away()
        except TimeoutError:
            return False

    async def _is_read_away(self) -> bool:
        """Read to the end; tell whether it came."""
        while not self._is_ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                return False
            self._is_ended = not message.get("more_body", False)
        return True


def _too_slow(cure: str) -> Problem:
    return Problem(408, cure, headers={"connection": "close"})
