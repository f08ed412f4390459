"""The form for the token: a right one becomes a cookie."""

from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dashboards.web.access import COOKIE, Access, local_path

_COOKIE_S: Final = 7 * 86_400
_FORM_BYTES: Final = 4_096


class Login:
    """Shows the form, and takes the token."""

    def __init__(self, access: Access) -> None:
        self._access = access
        folder = FileSystemLoader(Path(__file__).parent / "templates")
        self._page = Environment(loader=folder, autoescape=True, undefined=StrictUndefined).get_template(
            "login.html"
        )

    async def answer(self, request: Request) -> Response:
        """Show the form for the token; a right one becomes a cookie, and leads back."""
        target = local_path(request.query_params.get("next", "/"))
        if request.method == "GET":
            return self._form(target)
        form = await read_form(request)
        if not self._access.token or not self._access.knows(form.get("token", "")):
            return self._form(target, wrong=True)
        answer = RedirectResponse(target, 303)
        answer.set_cookie(
            COOKIE,
            self._access.cookie(),
            max_age=_COOKIE_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def _form(self, target: str, *, wrong: bool = False) -> Response:
        return HTMLResponse(self._page.render(target=target, wrong=wrong), 401 if wrong else 200)


async def read_form(request: Request, most: int = _FORM_BYTES) -> dict[str, str]:
    """Read a form; one of more than `most` bytes is read as empty."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            return {}
    return dict(parse_qsl(body.decode("latin-1"), encoding="utf-8", errors="replace"))
