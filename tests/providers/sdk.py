"""Twilio's own client, pointed at a scripted server: an independent judge of our requests."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from twilio.http.http_client import TwilioHttpClient

from tests.providers.scripted_http import Request
from tests.waiting import PATIENCE_S


class Redirected(TwilioHttpClient):  # type: ignore[misc]  # the SDK is not typed
    """The SDK's own client, pointed at the scripted server."""

    def __init__(self, url: str) -> None:
        super().__init__(timeout=PATIENCE_S)
        self._url = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        parts = urlsplit(url)
        return super().request(method, f"{self._url}{parts.path}", *args, **kwargs)


def form(request: Request) -> dict[str, list[str]]:
    """Read the form that a request carries."""
    return parse_qs(request.body.decode(), keep_blank_values=True, strict_parsing=True)
