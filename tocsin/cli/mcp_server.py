"""The server of `tocsin mcp`: names, describes and validates the tools (extra `mcp`)."""

from importlib.metadata import version
from typing import Annotated, Any, Final

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations
from pydantic import Field, ValidationError

from tocsin.app.settings import Settings
from tocsin.cli.mcp_arguments import unknown_argument, wrong_arguments
from tocsin.cli.mcp_tools import Kind, Refusal, Tools
from tocsin.render.catalog_search import Kind as Found

_INSTRUCTIONS: Final = (
    "Tocsin turns domain events into notifications. These tools only read. They show ids of users, events and"
    " notifications, and what became of them; they show no address and no text of a message. Begin with `why`"
    " for one notification, event or user, with `failures` for what goes wrong. A server of all tenants has"
    " `status`, too: what waits."
)
_STATUS: Final = (
    "Show what waits in each topic, how fast it shrinks, and what accounts of providers do, of all tenants."
)
_READS: Final = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
Tenant = Annotated[str, Field(max_length=64, description="a tenant; `default` unless given")]
Since = Annotated[str, Field(max_length=40, description="a time, a day, or how long ago, like 6h or 7d")]


class _Server(MCPServer[Any]):
    """Refuses wrong arguments in our own sentences, and those that a tool does not have."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        schema = next((tool.input_schema for tool in await self.list_tools() if tool.name == name), None)
        if schema is not None and (text := unknown_argument(name, arguments, schema)):
            raise ToolError(text)
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if schema is None or not isinstance(error.__cause__, ValidationError):
                raise
            raise ToolError(wrong_arguments(name, error.__cause__, schema)) from None


def build(settings: Settings, tenant: str = "") -> MCPServer[Any]:
    """Build the server.

    Args:
        settings: where ClickHouse, Kafka and the catalog are.
        tenant: the only tenant that is read; empty for all.
    """
    server = _Server("tocsin", instructions=_INSTRUCTIONS, version=version("tocsin"), log_level="CRITICAL")
    tools = Tools(settings, tenant)

    @server.tool(annotations=_READS, description=Tools.why.__doc__)
    def why(
        subject: Annotated[
            str,
            Field(
                min_length=1,
                max_length=512,
                description="the id of a notification, message or event, an origin, or a user",
            ),
        ],
        kind: Annotated[Kind, Field(description="what the subject is, where several have this id")] = "",
        tenant: Tenant = "",
        zone: Annotated[
            str, Field(max_length=64, description="the time zone of the times, such as Europe/Vienna")
        ] = "",
    ) -> dict[str, Any]:
        return _answered(lambda: tools.why(subject, kind, tenant, zone))

    @server.tool(annotations=_READS, description=Tools.failures.__doc__)
    def failures(
        since: Since = "1d",
        notification: Annotated[str, Field(max_length=64, description="the only notification to list")] = "",
        channel: Annotated[str, Field(max_length=32, description="the only channel to list")] = "",
        tenant: Tenant = "",
    ) -> dict[str, Any]:
        return _answered(lambda: tools.failures(since, notification, channel, tenant))

    @server.tool(annotations=_READS, description=Tools.balance.__doc__)
    def balance(since: Since = "1d", tenant: Tenant = "") -> dict[str, Any]:
        return _answered(lambda: tools.balance(since, tenant))

    @server.tool(annotations=_READS, description=Tools.search_catalog.__doc__)
    def search_catalog(
        word: Annotated[str, Field(max_length=128, description="part of a name; empty for everything")],
        kind: Annotated[Found | None, Field(description="the only kind to look for")] = None,
        tenant: Tenant = "",
    ) -> dict[str, Any]:
        return _answered(lambda: tools.search_catalog(word, kind or "", tenant))

    if not tenant:  # topics and accounts are of all tenants
        _add_status(server, tools)
    return server


def _add_status(server: MCPServer[Any], tools: Tools) -> None:
    @server.tool(annotations=_READS, description=_STATUS)
    def status(
        over_s: Annotated[
            float, Field(ge=0.5, le=30, description="seconds between two looks, for rates")
        ] = 2.0,
    ) -> dict[str, Any]:
        return _answered(lambda: tools.status(over_s))


def _answered(ask: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = ask()
    except Refusal as error:
        raise ToolError(str(error)) from None
    return found
