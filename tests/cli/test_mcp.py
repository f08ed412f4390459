"""`tocsin mcp` with the official client over stdio: tools that only read, of one tenant."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from dashboards import migrate, store
from sources.topics import TopicAdmin, TopicPlan
from tests.render.preview_catalog import write_catalog
from tocsin.app.settings import Settings
from tocsin.cli.mcp_server import build
from tocsin.cli.mcp_tools import Refusal, Tools

FAILED = {"provider": "ses", "channel": "email"}
TOOLS = ["balance", "failures", "search_catalog", "why"]


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    answer = await client.call_tool(tool, arguments)
    return answer.structured_content if not answer.is_error else getattr(answer.content[0], "text", "")


async def test_an_agent_lists_asks_and_is_refused(clickhouse_db: str, tmp_path: Path) -> None:
    migrate.migrate(clickhouse_db)
    rows = [
        ["o1", "suppressed", "acme", "ada", "limit", ""],
        ["o2", "dead", "default", "ada", "rejected", "550"],
        ["o3", "dead", "acme", "eve", "rejected", "550"],
        ["o4", "retrying", "acme", "eve", "transient", "421"],
        ["o5", "sent", "acme", "eve", "", ""],
    ]
    names = ["outcome_id", "status", "tenant", "user", "reason", "code", "channel", "provider", "at_ms"]
    with store.connect(clickhouse_db) as connection:
        more = ["email", "ses", 1_700_000_000_000]
        connection.insert("outcomes", [row + more for row in rows], column_names=names)
        for table in ("outcomes_hour", "outcomes_day"):
            for verb in ("WAIT", "REFRESH", "WAIT"):  # one under way began before these rows
                connection.command(f"SYSTEM {verb} VIEW {table}_writer")
    environment = {
        "TOCSIN_CATALOG": str(write_catalog(tmp_path)),
        "TOCSIN_CLICKHOUSE": clickhouse_db,
        "TOCSIN_KAFKA": "127.0.0.1:9",
        "PATH": "/usr/bin:/bin",
    }
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "tocsin.cli.main", "mcp", "--tenant", "acme"], env=environment
    )
    async with Client(stdio_client(server)) as client:
        tools = (await client.list_tools()).tools
        assert sorted(tool.name for tool in tools) == TOOLS
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        found = await called(client, "search_catalog", word="name", kind="field")
        assert {"kind": "field", "name": "name", "text": "tenants/acme/templates/hello/de/sms.j2:1"} in found[
            "hits"
        ]
        story = await called(client, "why", subject="ada", kind="user")
        assert [one["state"] for one in story["stories"]] == ["suppressed"]
        assert "default" not in str(story)
        assert await called(client, "why", subject="ada", tenant="default") == (
            "Error executing tool why: this server reads tenant acme alone"
        )
        assert "how long ago" in await called(client, "balance", since="yesterday")
        assert await called(client, "failures", since="2023-11-14") == {
            "tenant": "acme",
            "since": "2023-11-14",
            "rows": [
                FAILED | {"reason": "rejected", "code": "550", "retried": 0, "dead": 1},
                FAILED | {"reason": "transient", "code": "421", "retried": 1, "dead": 0},
            ],
            "more": False,
        }
        assert await called(client, "why", subject="") == (
            "why: `subject` is empty; give the id of a notification, message or event, an origin, or a user."
        )
    check_spans(clickhouse_db)


def check_spans(clickhouse: str) -> None:
    """Look from Python: a span counts back from the newest outcome where history is played."""

    def found(tools: Tools, **asked: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = tools.failures(**asked)["rows"]
        return rows

    now = Settings(clickhouse=clickhouse)
    assert [row["reason"] for row in found(Tools(now), since="2023-11-14")] == ["rejected"]
    assert found(Tools(now, "acme"), since="2023-11-14", channel="sms") == []
    assert found(Tools(now, "acme"), since="1d") == [], "that was long ago"
    played = now.model_copy(update={"clock": "stream"})
    assert [row["reason"] for row in found(Tools(played, "acme"), since="1d")] == ["rejected", "transient"]


async def test_a_server_of_all_tenants_shows_what_waits_and_one_of_a_tenant_does_not(
    kafka: str, topic_prefix: str
) -> None:
    settings = Settings(kafka=kafka, topic_prefix=topic_prefix, http_port=0)
    async with Client(build(settings)) as client:
        assert "status" in [tool.name for tool in (await client.list_tools()).tools]
        assert "run: tocsin topics create" in await called(client, "status", over_s=0.5)
        await asyncio.to_thread(TopicAdmin(kafka, topic_prefix).create, TopicPlan(1), ["events", "outcomes"])
        found = await called(client, "status", over_s=0.5)
        assert {"events", "outcomes"} == {each["topic"] for each in found["topics"]}
    with pytest.raises(Refusal, match="tenant shop alone"):
        Tools(settings, "shop").status()


@pytest.mark.parametrize("ask", ["why", "failures", "balance", "search_catalog"])
def test_no_tool_reads_another_tenant_than_the_one_of_the_server(ask: str) -> None:
    tools = Tools(Settings(), "acme")
    words = {"why": ("ada", "user"), "search_catalog": ("hello",)}.get(ask, ())
    with pytest.raises(Refusal, match="reads tenant acme alone"):
        getattr(tools, ask)(*words, tenant="default")


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        (
            "why",
            {},
            "why: `subject` is missing; give the id of a notification, message or event, an origin, or",
        ),
        ("why", {"subject": 7}, "why: `subject` is not a text; give the id of a notification"),
        ("why", {"subject": "ada", "kind": "person"}, "why: `kind` is not one of those known; give ''"),
        ("why", {"subject": "ada", "zone": "x" * 65}, "why: `zone` is too long; give at most 64 characters."),
        ("status", {"over_s": 0.1}, "status: `over_s` is out of bounds; give a number from 0.5 to 30."),
        ("status", {"over_s": "soon"}, "status: `over_s` is not a number; give seconds between two looks"),
        (
            "search_catalog",
            {"word": "x", "kind": "page"},
            "search_catalog: `kind` is not one of those known;",
        ),
        (
            "balance",
            {"tennant": "acme"},
            "balance: `tennant` is not an argument; did you mean `tenant`? It takes",
        ),
        (
            "balance",
            {"anyhow": 1},
            "balance: `anyhow` is not an argument; leave it out: the tool takes since",
        ),
        (
            "why",
            {"kind": 1, "zone": 2},
            "why: `subject` is missing; give the id of a notification, message or",
        ),
    ],
)
async def test_wrong_arguments_are_named_with_their_cure(
    tool: str, arguments: dict[str, Any], text: str
) -> None:
    async with Client(build(Settings())) as client:
        told = await called(client, tool, **arguments)
    assert told.startswith(text)
    assert "pydantic" not in told
    assert "validation error" not in told
    assert told.endswith(".")
