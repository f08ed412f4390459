"""`tocsin mcp`: tools for agents that operate Tocsin, over the Model Context Protocol. They only read."""

from typing import Annotated

import typer

from tocsin.app.settings import Settings
from tocsin.cli.output import REFUSED, fail


def mcp(
    *,
    tenant: Annotated[str, typer.Option(help="this tenant alone; the tools know no other")] = "",
) -> None:
    """Serve tools that only read to an agent: why, failures, balance, status, search of the catalog."""
    try:
        from tocsin.cli.mcp_server import build
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"mcp", "mcp_types"}:
            raise
        fail("the Model Context Protocol is not installed: pip install '.[mcp]' in Tocsin's folder", REFUSED)
    build(Settings(), tenant).run("stdio")
