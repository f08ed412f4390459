"""The endpoint of previews: for editors of templates that are not on this machine."""

from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool

from tocsin.catalog.catalog import Catalog
from tocsin.errors import PreviewError
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.preview.requests import PreviewRequest, every
from tocsin.gateway.problems import Problem, of_field
from tocsin.render.preview import Previewer

MOST_BYTES = 256 * 1024
"""Of one request: an event's data is far smaller."""


class Previews(msgspec.Struct, frozen=True):
    """What recipients see.

    Attributes:
        previews: one a channel and language.
        unused: fields of the data that none of these templates uses.
    """

    previews: list[dict[str, Any]]
    unused: list[str]


class _Kept:
    """The previewer of the catalog in force: templates are read again only once it has changed."""

    def __init__(self) -> None:
        self._catalog: Catalog | None = None
        self._previewer: Previewer | None = None

    def of(self, gateway: Gateway) -> Previewer:
        """Return it; reads files after a change."""
        catalog = gateway.catalog()
        if self._previewer is None or self._catalog is not catalog:
            self._previewer, self._catalog = Previewer(gateway.settings.catalog, catalog), catalog
        return self._previewer


_kept = _Kept()


async def _preview(call: Call) -> Answer:
    """Render what is asked for; the tenant is the key's."""
    asked = await call.body(PreviewRequest)
    request = msgspec.structs.replace(asked, tenant=call.own_tenant(asked.tenant))
    if request.tenant not in call.gateway.catalog().tenants:  # a text about it would name the others
        raise Problem(
            404, "the tenant of this key has no catalog; `tocsin check` names mistakes in its files"
        )
    try:
        found = await run_in_threadpool(lambda: every(_kept.of(call.gateway), request))
    except PreviewError as error:
        raise of_field(error.field, "not there", error.cure) from None
    return Answer(200, Previews(**found))


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/previews",
        _preview,
        "Render a notification as its recipients see it, in each channel and language; nothing is sent.",
        scope="preview:read",
        body=PreviewRequest,
        answers={200: Previews},
        example={"notification": "flight_delayed", "channel": "push", "locale": "de"},
        max_bytes=MOST_BYTES,
    ),
)
