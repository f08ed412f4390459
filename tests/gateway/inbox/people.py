"""A user of the tests, with entries and a token."""

from typing import Any

import httpx2

from tests.gateway.running import Running
from tocsin.gateway.inbox.service import service_of
from tocsin.providers.inbox import Entry, Inbox


class Person:
    """One user of a running gateway.

    Attributes:
        token: opens the inbox.
    """

    def __init__(self, gateway: Running, user: str, tenant: str, token: str) -> None:
        self.key = f"{tenant}/{user}"
        self.token = token
        self.client = gateway.client
        self.inbox: Inbox = service_of(gateway.gateway).inbox(tenant)

    async def gets(self, *names: str, at_ms: int = 0, **fields: Any) -> None:
        """Put entries in, each a millisecond later."""
        for number, name in enumerate(names):
            about = {"category": "travel", "title": f"Title {name}", "body": f"Body {name}"} | fields
            entry = Entry(
                message_id=name,
                notification_id=f"n-{name}",
                notification=about.pop("notification", "gate_moved"),
                at_ms=at_ms or 1_764_000_000_000 + number,
                **about,
            )
            await self.inbox.add(self.key, entry)

    @property
    def headers(self) -> dict[str, str]:
        """Show the token."""
        return {"authorization": f"Bearer {self.token}"}

    async def asks(self, path: str, **parameters: Any) -> httpx2.Response:
        """Get something of the inbox."""
        return await self.client.get(f"/v1/inbox{path}", params=parameters, headers=self.headers)

    async def does(self, action: str, **marks: Any) -> httpx2.Response:
        """Do something with entries."""
        return await self.client.post(f"/v1/inbox/{action}", json=marks, headers=self.headers)


async def person(gateway: Running, user: str = "ann", tenant: str = "default") -> Person:
    """Make a user with a token of the gateway's own."""
    answer = await gateway.client.post(f"/v1/users/{user}/inbox-token", headers=gateway.bearing(tenant))
    assert answer.status_code == 200, answer.text
    return Person(gateway, user, tenant, answer.json()["token"])
