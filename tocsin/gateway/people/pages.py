"""What the pages for people have in common: templates, languages, headers and forms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from tocsin.catalog.compile import CompiledTenant
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.people.page_texts import LANGUAGES, TEXTS, accepted, language_of

HERE: Final = Path(__file__).parent
FORM_BYTES: Final = 262_144
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex, nofollow",
}
"""Of every page. Its address holds the token: no cache keeps it, and no other site is told."""
_environment: Final = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Speaker:
    """Says things in the language of whoever opened a page.

    Args:
        request: its `lang` wins, then the user's own language, then what the browser asks for.
        tenant: whose page it is; None for a link that is not known.
        locale: the user's own; empty for none.
    """

    def __init__(self, request: Request, tenant: CompiledTenant | None, locale: str = "") -> None:
        asked = request.query_params.get("lang", "")
        header = accepted(request.headers.get("accept-language", ""))
        fallback = tenant.spec.locale if tenant else ""
        self.language = language_of(asked, locale, *header, fallback)
        self.texts = TEXTS[self.language]
        self.brand = (tenant.spec.branding.name or tenant.spec.senders.email_name) if tenant else ""

    def say(self, name: str, **values: str) -> str:
        """Return a text of the pages with its values."""
        return self.texts[name].format(brand=self.brand or self.texts["us"], **values)

    def page(self, template: str, heading: str, status: int = 200, **values: Any) -> Response:
        """Render a page."""
        shown = _environment.get_template(template).render(
            language=self.language,
            languages=LANGUAGES,
            t=self.texts,
            brand=self.brand,
            heading=heading,
            **values,
        )
        headers = {**HEADERS, **({"retry-after": "5"} if status == 503 else {})}
        return Response(shown, status, headers, "text/html")

    def message(self, name: str, status: int) -> Response:
        """Render a page that says one thing."""
        return self.page("message.html", self.say(f"{name}_title"), status, text=self.say(name))


def gateway_of(request: Request) -> Gateway:
    """Return the gateway that serves a page."""
    found: Gateway = request.app.state.gateway
    return found


async def form_of(request: Request) -> list[tuple[str, str]]:
    """Read a form; what is too large, or no form, has no fields.

    A mail client may send the one field of RFC 8058 as `multipart/form-data`, too.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            return []
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return [ONE_CLICK] if _is_one_click(body) else []
    return parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace")


ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")
"""The field that a mail client posts (RFC 8058, 3.1)."""


def _is_one_click(body: bytes) -> bool:
    """Find the field of RFC 8058 in a multipart body; nothing else of such a body is read."""
    name, _, value = body.partition(b"\r\n\r\n")
    return b'name="list-unsubscribe"' in name.lower() and value.startswith(b"One-Click\r\n--")
