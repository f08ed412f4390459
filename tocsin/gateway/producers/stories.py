"""`GET /v1/notifications/{id}`: what became of a notification, message or event, and why."""

from typing import Final

import msgspec
from clickhouse_connect.driver.client import Client

from dashboards import story
from dashboards.story_parts import Story
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint, Parameter
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.problems import Problem, ProblemDocument
from tocsin.model.zones import resolve

KINDS: Final = ("notification", "message", "event")
"""What an id names here. A user's stories are not read by this way: a user may be called like an event."""
_HEX_DIGITS: Final = 32
_AGAIN_S: Final = "2"
NOT_YET: Final = (
    "nothing is known under this id: name an event, a notification or a message; what was sent within the"
    " last seconds may not be here yet"
)


class StoryAnswer(msgspec.Struct, frozen=True):
    """The stories of an id, as `tocsin why --json` prints them."""

    subject: str
    tenant: str
    stories: list[Story]


async def stories_of(gateway: Gateway, tenant: str, subject: str, zone: str = "") -> list[Story]:
    """Ask ClickHouse for the stories of an id; none of another tenant's.

    Raises:
        dashboards.web.problem.Problem: ClickHouse is away or takes too long.
    """
    kinds = KINDS if len(subject) == _HEX_DIGITS else ("event",)

    def ask(client: Client) -> list[Story]:
        return story.find(client, subject, tenant, kinds=kinds, zone=zone)

    key = ("notification", {"tenant": tenant, "subject": subject, "zone": zone})
    return await gateway.clickhouse.ask(key, ask)


async def _tell(call: Call) -> Answer:
    subject, zone = call.path["id"], call.query.get("zone", "")
    if zone and not resolve(zone):
        raise Problem(422, "`zone`: name a time zone of IANA, like Europe/Vienna")
    stories = await stories_of(call.gateway, call.tenant, subject, resolve(zone))
    if not stories:
        raise Problem(404, NOT_YET, headers={"retry-after": _AGAIN_S})
    return Answer(200, StoryAnswer(subject, call.tenant, stories))


ENDPOINT = Endpoint(
    "GET",
    "/v1/notifications/{id}",
    _tell,
    "Read the story of a notification: what was decided, sent and reported, and why.",
    scope="notifications:read",
    answers={200: StoryAnswer, 404: ProblemDocument, 503: ProblemDocument},
    parameters=(
        Parameter("zone", "query", str, "time zone of the times in sentences", example="Europe/Vienna"),
        Parameter("id", "path", str, "id of an event, notification or message", required=True),
    ),
)
