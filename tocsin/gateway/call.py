"""One request, as handlers see it: who calls, and a body within limits."""

import re
from collections.abc import AsyncIterator, Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from starlette.datastructures import QueryParams
from starlette.types import Scope

from tocsin.gateway.body import BODY_S, Body
from tocsin.gateway.problems import FieldError, Problem, decoded
from tocsin.gateway.random_ids import random_hex

if TYPE_CHECKING:
    from tocsin.gateway.gateway import Gateway

T = TypeVar("T")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_REQUEST_ID_BYTES = 16


class Caller(NamedTuple):
    """Who calls, as the API key says.

    Attributes:
        tenant: all that the call reads and writes is this tenant's.
        key_id: public part of the key.
        scopes: what the key may do.
    """

    tenant: str
    key_id: str
    scopes: Collection[str]


class Call:
    """One request.

    Attributes:
        gateway: what all handlers share.
        scope: of ASGI.
        headers: by name in lower case; of two with the same name, the first.
        caller: who calls; None for an endpoint without a scope.
        request_id: names this request in logs, and in the answer's header `x-request-id`.
        now_ms: when it came, ms since 1970. One reading of the clock a request.
        path: parameters of the path, decoded.
        extra: headers that the answer gets beside its own.
    """

    __slots__ = (
        "_body",
        "_caller",
        "_raw",
        "extra",
        "gateway",
        "headers",
        "now_ms",
        "path",
        "request_id",
        "scope",
    )

    def __init__(
        self,
        gateway: "Gateway",
        scope: Scope,
        headers: Mapping[str, str],
        path: Mapping[str, str],
        body: Body,
    ) -> None:
        self.gateway = gateway
        self.scope = scope
        self.headers = headers
        self.request_id = request_id_of(headers)
        self.now_ms = gateway.clock_ms()
        self.path = path
        self.extra: dict[str, str] = {}
        self._body = body
        self._caller: Caller | None = None
        self._raw: bytes | None = None

    @property
    def caller(self) -> Caller | None:
        """Who calls; None for an endpoint without a scope."""
        return self._caller

    def admit(self, caller: Caller, body_hash: str = "") -> None:
        """Set who calls, once it is proved.

        Args:
            caller: who calls.
            body_hash: SHA-256 that was signed, in hex digits: the body must have it.
        """
        self._caller = caller
        if body_hash:
            self._body.hold_against(body_hash)

    @property
    def tenant(self) -> str:
        """The tenant of the caller's key.

        Raises:
            Problem: nobody has proved who calls (401).
        """
        if self._caller is None:
            raise Problem(401, "send an API key: `Authorization: Bearer tk_…`")
        return self._caller.tenant

    def own_tenant(self, named: str | None, field: str = "tenant") -> str:
        """Return the caller's tenant; a request that names another is refused.

        Raises:
            Problem: 403, or 401 without a caller.
        """
        if named and named != self.tenant:
            cure = "leave it away: the key says whose the request is"
            raise Problem(
                403,
                "the request names a tenant that is not the key's",
                errors=[FieldError(field, "of another tenant", cure)],
            )
        return self.tenant

    @property
    def method(self) -> str:
        """Method of the request."""
        method: str = self.scope["method"]
        return method

    @property
    def query(self) -> QueryParams:
        """Parameters of the query."""
        return QueryParams(self.scope["query_string"])

    async def raw_body(self) -> bytes:
        """Read the body; a second call returns the same.

        Raises:
            Problem: as of `Body.whole`.
        """
        if self._raw is None:
            self._raw = await self._body.whole()
        return self._raw

    def stream(self, part_s: float = BODY_S) -> AsyncIterator[bytes]:
        """Read a large body part by part: see `Body.parts`."""
        return self._body.parts(part_s)

    async def body(self, type_: type[T]) -> T:
        """Decode the JSON body.

        Raises:
            Problem: no JSON (400), or not of that type (422): it names field, kind of the value and cure.
        """
        return decoded(await self.raw_body(), type_)

    async def drained(self) -> bool:
        """Read away what is left of a small body; tell whether none is left."""
        return await self._body.drained()


def headers_of(scope: Scope) -> dict[str, str]:
    """Decode the headers of a request, once for all who read them.

    >>> headers_of({"headers": [(b"host", b"a"), (b"host", b"b")]})
    {'host': 'a'}
    """
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}


def request_id_of(headers: Mapping[str, str]) -> str:
    """Take the id that a proxy gave the request, if it is a plain one; else make one.

    >>> request_id_of({"x-request-id": "from-the-proxy-1"})
    'from-the-proxy-1'
    """
    given = headers.get("x-request-id", "")
    return given if given and _REQUEST_ID.fullmatch(given) else random_hex(_REQUEST_ID_BYTES)
