"""Finds the owners of text messages whose links are followed: in the send ledger, then in ClickHouse."""

from collections.abc import Mapping, Sequence

from clickhouse_connect.driver.client import Client

from dashboards.web.problem import Problem as NoAnswer
from tocsin.formats.marks import Marked
from tocsin.gateway.callbacks.memory import CallbackMemory
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.problems import Problem, not_ready

_COLUMNS = Marked.__struct_fields__
_QUERY = (
    f"SELECT {', '.join(_COLUMNS)} FROM outcomes WHERE message_id IN {{ids:Array(String)}} AND user != ''"  # noqa: S608 (names of ours)
    " AND status IN ('sent', 'retrying') LIMIT 1 BY message_id"
)


class Owners:
    """Finds owners of messages by their ids."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._ledger = CallbackMemory(gateway.redis, gateway.settings.topic_prefix)

    async def find(self, ids: Sequence[str]) -> Mapping[str, Marked]:
        """Find owners; leave out what nobody knows.

        Raises:
            Problem: the servers that know are away.
        """
        found = await self._in_ledger(ids)
        missing = sorted(set(ids) - found.keys())
        return {**found, **(await self._in_clickhouse(missing) if missing else {})}

    async def _in_ledger(self, ids: Sequence[str]) -> Mapping[str, Marked]:
        try:
            return await self._ledger.messages(ids)
        except Problem:
            return {}

    async def _in_clickhouse(self, ids: Sequence[str]) -> Mapping[str, Marked]:
        def rows(client: Client) -> Sequence[Sequence[object]]:
            return client.query(_QUERY, parameters={"ids": list(ids)}).result_rows

        try:
            found = await self._gateway.clickhouse.ask(("owners of links", {"ids": ",".join(ids)}), rows)
        except NoAnswer:
            why = "nobody can tell whose the message is"
            raise not_ready(why) from None
        made = [Marked(*map(str, row)) for row in found]
        return {each.message_id: each for each in made}
