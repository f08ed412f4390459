"""Problems as documents (RFC 9457): what is wrong with a request, and the cure."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

TITLES: Mapping[int, str] = {
    400: "The request is wrong",
    401: "A token is needed",
    403: "Not from there",
    404: "Not found",
    405: "Only reading is possible",
    503: "No figures from ClickHouse",
    504: "The query took too long",
}


class Problem(Exception):
    """Refuses a request. The text says what is wrong and the cure; `field` names the parameter, if one is."""

    def __init__(self, status: int, detail: str, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field

    @property
    def title(self) -> str:
        """Say in a few words what kind of problem it is."""
        return TITLES[self.status]

    def document(self) -> dict[str, Any]:
        """Build the members of RFC 9457; `field` is an extension."""
        named = {"field": self.field} if self.field else {}
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **named,
        }

    def response(self) -> JSONResponse:
        """Build the answer of the JSON API."""
        return JSONResponse(self.document(), self.status, media_type="application/problem+json")
