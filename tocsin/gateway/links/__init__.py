"""Links of messages: `/c/<token>` leads on and counts a click, `/o/<token>.gif` is the image of an opening.

The address that a link leads to is in its token, sealed with TOCSIN_SECRET. The gateway redirects nowhere
else.
"""

import contextlib
from collections.abc import AsyncIterator
from weakref import WeakKeyDictionary

from tocsin.formats.link_tokens import OPEN_END, LinkTokens, TrackedLink
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.links import pages
from tocsin.gateway.links.judge import Bursts, software_behind
from tocsin.gateway.links.owners import Owners
from tocsin.gateway.links.recorder import Recorder

PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
"""A transparent point."""
_HEADERS = {"cache-control": "no-store, private", "x-robots-tag": "noindex, nofollow"}


class Links:
    """Serves the links of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        settings = gateway.settings
        self.tokens = LinkTokens(gateway.secret)
        self.recorder = Recorder(
            gateway.writer.write,
            Owners(gateway).find,
            Bursts(gateway.redis, settings.topic_prefix),
            gateway.meters.engagement,
        )
        self._gateway = gateway
        self._live = settings.clock == "wall"

    def is_over(self, link: TrackedLink, now_ms: int) -> bool:
        """Tell whether a link has expired; where decisions follow the time of events, none does."""
        return self._live and now_ms >= link.expires_ms

    def count(self, link: TrackedLink, call: Call) -> None:
        """Record an opening or a click, unless the tenant does not want that any more."""
        tenant = self._gateway.catalog().tenant(link.owner.tenant) if link.owner else None
        if link.owner is not None and not (tenant and tenant.tracking.is_on()):
            return
        if call.method == "GET" and not self.is_over(link, call.now_ms):
            software = software_behind(link, call.headers, call.now_ms, live=self._live)
            self.recorder.note(link, software, call.now_ms)


_running: WeakKeyDictionary[Gateway, Links] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def lifespan(gateway: Gateway) -> AsyncIterator[None]:
    """Serve links until the gateway ends; then write what waits."""
    _running[gateway] = links = Links(gateway)
    try:
        yield
    finally:
        await links.recorder.close()
        del _running[gateway]


def running(gateway: Gateway) -> Links:
    """Return what serves the links of a gateway."""
    return _running[gateway]


async def _follow(call: Call) -> Answer:
    links = running(call.gateway)
    link = links.tokens.read(call.path["token"])
    if link is None or not link.url:
        return pages.unknown(call.gateway.link(""))
    if links.is_over(link, call.now_ms):
        return pages.expired(link.url, call.gateway.link(""))
    links.count(link, call)
    return Answer(302, headers=_HEADERS | {"location": pages.location(link.url)})


async def _open(call: Call) -> Answer:
    """Serve the image, whatever the token: a broken image in a mail helps nobody."""
    links = running(call.gateway)
    link = links.tokens.read(call.path["token"].removesuffix(OPEN_END))
    if link is not None and not link.number:
        links.count(link, call)
    headers = _HEADERS | {"cross-origin-resource-policy": "cross-origin"}
    return Answer(200, PIXEL, headers, "image/gif")


async def _style(_call: Call) -> Answer:
    return Answer(200, pages.STYLE, {"cache-control": "max-age=86400"}, "text/css; charset=utf-8")


ENDPOINTS = (
    Endpoint("GET", "/c/page.css", _style, "Serve the style of the pages of links.", answers={200: None}),
    *(
        Endpoint(method, path, handler, summary, answers=answers)
        for method in ("GET", "HEAD")
        for path, handler, summary, answers in (
            ("/c/{token}", _follow, "Lead to where a link leads, and count a click.", {302: None, 410: None}),
            ("/o/{token}", _open, "Serve the image that tells of an opening.", {200: None}),
        )
    ),
)
