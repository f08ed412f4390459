"""The view while Redis answers nothing: the caller is told, and the connection is free for the next one."""

from collections.abc import Awaitable, Callable

import pytest

from tests.gateway.people.conftest import until
from tests.providers.conftest import own_valkey
from tests.providers.valkey import OwnValkey
from tocsin.delivery.redis_client import open_client
from tocsin.gateway.people.entry import Change, Entry, changed
from tocsin.gateway.people.view import AWAY, ProfileView, Seen, Swap

__all__ = ["own_valkey"]
ENTRY = changed(Entry(), Change(b"{}"), 1)
WRITES: dict[str, Callable[[ProfileView], Awaitable[object]]] = {
    "swap": lambda view: view.swap([Swap("t/u", Seen(Entry(), b""), ENTRY)]),
    "move_devices": lambda view: view.move_devices("t", [("token", "u")], {"other": "u"}),
    "set_topics": lambda view: view.set_topics([("t/u", "x", 0)]),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_that_redis_does_not_answer_keeps_no_connection(
    own_valkey: OwnValkey, name: str
) -> None:
    """redis-py leaves a pipeline its connection where the question for its scripts is not answered."""
    async with open_client(own_valkey.url, timeout_s=0.2, max_connections=1) as redis:
        view = ProfileView(redis, "t.")

        async def answers() -> bool:
            try:
                await view.look("t/u")
            except AWAY:
                return False
            return True

        await until(answers)
        with own_valkey.stopped(), pytest.raises(AWAY):
            await WRITES[name](view)
        await until(answers)
