"""The web application: routes and thin handlers."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboards import queries as named
from dashboards.query_file import BOARDS, FILTERS, Query
from dashboards.web import boards, story_page
from dashboards.web.access import Access, Guard
from dashboards.web.login import Login
from dashboards.web.pool import SHARED_S, Asker, Pool
from dashboards.web.problem import TITLES, Problem
from dashboards.web.results import result
from dashboards.web.view import COMMON, RANGES, Extent, View, bound, iso, read_view, utc, whole
from tocsin.errors import SettingsError

_HERE = Path(__file__).parent
_ROUNDED_MS = 2_000
_encode = msgspec.json.Encoder().encode


def wall_ms() -> int:
    """Read the wall clock, ms since 1970."""
    return time.time_ns() // 1_000_000


class Dashboard:
    """The pages and the API over one ClickHouse.

    Args:
        url: of ClickHouse, with the database.
        token: who shows it may read; empty: whoever is on this machine.
        stream_clock: relative ranges end at the newest outcome, for streams that are played faster than time.
        clock_ms: the wall clock.
        shared_s: how long an answer serves further viewers.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        stream_clock: bool = False,
        clock_ms: Callable[[], int] = wall_ms,
        shared_s: float = SHARED_S,
    ) -> None:
        self._pool = Pool(url)
        self._asker = Asker(self._pool, shared_s)
        self._access = Access(token)
        self._stream_clock = stream_clock
        self._clock_ms = clock_ms
        self._pages = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.filters |= {"iso": iso, "utc": utc}

    def application(self) -> Starlette:
        """Build the ASGI application."""
        routes = [
            Route("/", self._first),
            Route("/healthz", _healthz),
            Route("/login", Login(self._access).answer, methods=["GET", "POST"]),
            Route("/api/query/{name}", self._query),
            Route("/api/choices", self._choices),
            Route("/api/story/{subject:path}", self._story_json),
            Route("/rows/{name}", self._rows),
            Route("/story", self._search),
            Route("/story/{subject:path}", self._story),
            *(Route(f"/{board}", self._board, name=board) for board in BOARDS),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(Guard, access=self._access)],
            exception_handlers={Problem: self._problem, HTTPException: self._missing},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        self._pool.close()

    async def _first(self, request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/{BOARDS[0]}{query}", 307)

    async def _board(self, request: Request) -> Response:
        board = request.url.path[1:]
        view = read_view(request.query_params.multi_items())
        return self._page("board.html", board, view, panels=boards.panels(board, view), path=f"/{board}")

    async def _rows(self, request: Request) -> Response:
        query = _find(request.path_params["name"])
        view = read_view(request.query_params.multi_items(), _filters(query))
        path = f"/rows/{query.name}"
        return self._page(
            "rows.html",
            "",
            view,
            panels=[boards.panel(query, view)],
            path=path,
            chips=boards.chips(path, view),
        )

    async def _query(self, request: Request) -> Response:
        query = _find(request.path_params["name"])
        view = read_view(request.query_params.multi_items(), _filters(query))
        parameters = whole(view, named.bind(bound(view, *await self._now(view)), self._clock_ms()))
        asked = {name: parameters[name] for name in query.parameters}
        if view.span and named.has_kafka_times(query):
            asked["to_ms"] = max(asked["to_ms"], self._wall_ms())
        rows = await self._asker.ask((query.name, asked), lambda client: named.run(client, query.name, asked))
        return Response(_encode(result(query, rows, view, parameters)), media_type="application/json")

    async def _choices(self, request: Request) -> Response:
        """List the tenants, notifications and channels that the filters offer."""
        view = read_view(request.query_params.multi_items())
        tenants = await self._ask("tenants", {"tenant": ""})
        found = await self._ask("choices", {"tenant": view.tenant})
        offered = {name: [row["name"] for row in found if row["filter"] == name] for name in COMMON}
        return JSONResponse({"tenant": [row["tenant"] for row in tenants], **offered})

    async def _search(self, request: Request) -> Response:
        """Lead from the search box to the story."""
        given = [pair for pair in request.query_params.multi_items() if pair[0] != "q"]
        subject = request.query_params.get("q", "").strip()
        asked = story_page.read(subject, given)
        if subject:
            return RedirectResponse(story_page.address(subject, asked.tenant, asked.kind), 303)
        return self._stories(story_page.Found(asked, [], []))

    async def _story(self, request: Request) -> Response:
        return self._stories(await self._found(request))

    async def _story_json(self, request: Request) -> Response:
        found = await self._found(request)
        if not found.stories:
            places = f"; these tenants have some: {', '.join(found.elsewhere)}" if found.elsewhere else ""
            raise Problem(404, f"the tenant has no outcome of this subject{places}", "subject")
        document = {"subject": found.asked.subject, "tenant": found.asked.tenant, "stories": found.stories}
        return Response(_encode(document), media_type="application/json")

    async def _found(self, request: Request) -> story_page.Found:
        asked = story_page.read(request.path_params["subject"], request.query_params.multi_items())
        return await self._asker.ask(
            ("story", asked._asdict()), lambda client: story_page.look_up(client, asked)
        )

    def _stories(self, found: story_page.Found) -> Response:
        status = 200 if found.stories or not found.asked.subject else 404
        return self._page(
            "story.html",
            "",
            View(tenant=found.asked.tenant),
            status,
            found=found,
            waiting=any(each.waits for each in found.stories),
            most=story_page.MOST,
            tones=story_page.TONES,
            facts=story_page.facts,
            numbers=story_page.numbers,
            address=story_page.address,
        )

    def _wall_ms(self) -> int:
        """Read the clock, rounded so that viewers share answers."""
        return self._clock_ms() // _ROUNDED_MS * _ROUNDED_MS

    async def _now(self, view: View) -> tuple[int, Extent]:
        """Read the present moment, and the tenant's extent where the view or the clock depends on it."""
        now_ms = self._wall_ms()
        if not self._stream_clock and view.span != "all":
            return now_ms, Extent()
        tenants = await self._ask("tenants", {"tenant": view.tenant})
        if not tenants:
            return now_ms, Extent()
        extent = Extent(min(row["oldest_ms"] for row in tenants), max(row["newest_ms"] for row in tenants))
        return extent.newest_ms + 1 if self._stream_clock else now_ms, extent

    async def _ask(self, name: str, parameters: Mapping[str, Any]) -> list[named.Row]:
        return await self._asker.ask((name, parameters), lambda client: named.run(client, name, parameters))

    def _page(self, template: str, board: str, view: View, status: int = 200, **more: Any) -> Response:
        """Render a page; what it shows of ClickHouse comes afterwards, panel by panel."""
        page = self._pages.get_template(template).render(
            board=board,
            title=boards.TITLES.get(board, ""),
            view=view,
            ranges=RANGES,
            navigation=boards.navigation(board, view),
            hidden={name: value for name, value in view.filters.items() if name not in COMMON},
            **more,
        )
        return HTMLResponse(page, status)

    async def _problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        if request.url.path.startswith("/api/"):
            return error.response()
        return self._page("problem.html", "", View(), error.status, problem=error, path="/overview")

    async def _missing(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = error.status_code if error.status_code in TITLES else 404
        return await self._problem(request, Problem(status, "there is no such page, or not for this method"))


def _find(name: str) -> Query:
    try:
        return named.find(name)
    except SettingsError as error:
        raise Problem(404, str(error)) from None


def _filters(query: Query) -> set[str]:
    """Name the filters that a query's page takes: those it binds, and those that each page has."""
    return {*query.parameters & set(FILTERS), *COMMON}


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
