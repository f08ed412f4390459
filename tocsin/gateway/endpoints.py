"""Describes an endpoint as one row: the router, the checks and the OpenAPI document read it."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from tocsin.gateway.call import Call

JSON = "application/json"
MOST_BYTES = 1 << 20
"""Bytes of a request's body, unless an endpoint says otherwise."""
NONE: Mapping[Any, Any] = MappingProxyType({})


class Answer(NamedTuple):
    """What a handler answers.

    Attributes:
        status: the HTTP status.
        body: bytes go out as they are, None leaves the body empty; anything else becomes JSON.
        headers: further headers.
        media_type: type of the body.
    """

    status: int
    body: object = None
    headers: Mapping[str, str] = NONE
    media_type: str = JSON


class Parameter(NamedTuple):
    """A parameter of the query, or a header, as the OpenAPI document lists it.

    Attributes:
        name: its name.
        where: where it stands. Parameters of the path are read from the path itself.
        type: its type, as msgspec understands it.
        description: one sentence.
        required: whether a request without it is refused.
        example: a value that is accepted.
    """

    name: str
    where: Literal["query", "header", "path"] = "query"
    type: Any = str
    description: str = ""
    required: bool = False
    example: object = None


class Endpoint(NamedTuple):
    """One route, and one operation of the OpenAPI document.

    Attributes:
        method: `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
        path: its path, such as `/v1/notifications/{id}`; `{rest:path}` takes slashes too.
        handler: answers a call, or raises `Problem`.
        summary: what it does, in one sentence.
        scope: scope that the caller's API key must have; None if the handler checks the caller by itself.
        body: msgspec type of the JSON body; None if the handler reads `call.raw_body()`.
        answers: msgspec type of the body by status; None for one without.
        example: a body that is accepted.
        parameters: those of the query and headers, and of the path where more than a text is to be said.
        max_bytes: largest body.
        media_types: types of the body that are accepted, for the OpenAPI document.
    """

    method: str
    path: str
    handler: Callable[[Call], Awaitable[Answer]]
    summary: str
    scope: str | None = None
    body: Any = None
    answers: Mapping[int, Any] = NONE
    example: object = None
    parameters: tuple[Parameter, ...] = ()
    max_bytes: int = MOST_BYTES
    media_types: tuple[str, ...] = (JSON,)
