"""People: users, devices and preferences over the API, the preference page, and unsubscribe links.

| module | what |
|---|---|
| `users`, `devices`, `preferences`, `topics_of_users` | the API |
| `page`, `one_click`, `pages`, `page_texts` | the pages for people |
| `preferring`, `choices` | what a user wants, and what there is to choose |
| `changing` | changes a profile, in the view and in Kafka |
| `view`, `feeder`, `feeding` | the view of profiles in Redis, fed from Kafka |
| `entry`, `texts` | one user in the view, and the text of a profile (pure) |
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from tocsin.gateway.endpoints import Endpoint
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.people import devices, preferences, topics_of_users, users
from tocsin.gateway.people.feeder import Feeder
from tocsin.gateway.people.one_click import unsubscribe_page
from tocsin.gateway.people.page import preference_page
from tocsin.gateway.people.pages import HERE
from tocsin.gateway.people.people import changes_of

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *users.ENDPOINTS,
    *devices.ENDPOINTS,
    *preferences.ENDPOINTS,
    *topics_of_users.ENDPOINTS,
)
ROUTES: Final[tuple[BaseRoute, ...]] = (
    Route("/preferences/{token}", preference_page, methods=["GET", "POST"]),
    Route("/unsubscribe/{token}", unsubscribe_page, methods=["GET", "POST"]),
    Mount("/people/static", StaticFiles(directory=HERE / "static")),
)
_FINISH_S: Final = 1.0


@contextlib.asynccontextmanager
async def lifespan(gateway: Gateway) -> AsyncIterator[None]:
    """Feed the view of profiles, and finish changes whose process died."""
    changes, stop = changes_of(gateway), asyncio.Event()
    feeder = Feeder(gateway.settings, changes.view, gateway.clock_ms, stop)
    work = [feeder.run(), changes.keep_finishing(_FINISH_S, stop)]
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)
