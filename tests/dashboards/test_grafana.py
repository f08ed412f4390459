"""The Grafana dashboards are the named queries, and each panel's query answers as the query itself does."""

import copy
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana_board import FOLDER, HIDDEN, STEP, board_json, boards, grafana_sql
from dashboards.queries import bind, queries
from dashboards.query_file import DETAIL, FILTERS

ROOT = Path(__file__).parent.parent.parent
BOARDS = boards()
Node = dict[str, Any]
register_default_plugins()
EVERY = pytest.mark.parametrize("name", BOARDS)


@EVERY
def test_the_files_are_what_the_queries_give(name: str) -> None:
    text = (ROOT / FOLDER / f"{name}.json").read_text()
    assert text == board_json(BOARDS[name]), "run `python -m dashboards.grafana_board`"


def test_every_query_has_its_panel_and_there_is_no_other_file() -> None:
    shown = [panel["targets"][0]["rawSql"] for board in BOARDS.values() for panel in board["panels"]]
    assert sorted(shown) == sorted(grafana_sql(query) for query in queries())
    assert {path.stem for path in (ROOT / FOLDER).glob("*.json")} == set(BOARDS)


@EVERY
def test_a_dashboard_offers_the_variables_that_its_panels_use(name: str) -> None:
    offered = {one["name"] for one in BOARDS[name]["templating"]["list"]}
    for panel in BOARDS[name]["panels"]:
        sql = panel["targets"][0]["rawSql"]
        assert not re.search(r"\{\w+:(?!sqlstring)\w+\}", sql), panel["title"]
        assert set(re.findall(r"\$\{(\w+)", sql)) <= offered | {"__from", "__to"}


def changed(ours: Node, theirs: Node, place: str = "") -> list[str]:
    """Name what Grafana's model does not know, or holds for something else."""
    found = []
    for name, value in ours.items():
        pairs = (
            zip(value, theirs.get(name, ()), strict=True)
            if isinstance(value, list)
            else [(value, theirs.get(name))]
        )
        for mine, other in pairs:
            if isinstance(mine, dict) and isinstance(other, dict):
                found += changed(mine, other, f"{place}.{name}")
            elif mine != other:
                found.append(f"{place}.{name}")
    return found


def read_back(board: Node) -> Node:
    """Read a dashboard by the classes that Grafana generates from its own schemas, and write it again."""
    read: Node = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    return read


@EVERY
def test_grafana_s_own_model_knows_every_field(name: str) -> None:
    assert changed(BOARDS[name], read_back(BOARDS[name])) == []


@pytest.mark.parametrize("place", ["options", "gridPos", "fieldConfig"])
def test_the_model_finds_a_field_that_is_none(place: str) -> None:
    board = copy.deepcopy(BOARDS["overview"])
    board["panels"][0][place]["titel"] = "x"
    assert changed(board, read_back(board)) == [f".panels.{place}.titel"]


@EVERY
def test_panels_do_not_lie_on_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def links(node: Any) -> list[str]:
    if isinstance(node, list):
        return [url for value in node for url in links(value)]
    if not isinstance(node, dict):
        return []
    return [node["url"]] if "url" in node else [url for value in node.values() for url in links(value)]


@EVERY
def test_links_lead_to_the_rows_with_filters_that_they_have(name: str) -> None:
    for url in links(BOARDS[name]["panels"]):
        place, _, arguments = url.partition("?")
        assert place == f"/d/{BOARDS[DETAIL]['uid']}"
        assert set(re.findall(r"var-(\w+)=", arguments)) <= {"tenant", *FILTERS}


NOW_MS = int(datetime.now(UTC).timestamp() * 1000)


def filled(client: Client, sql: str, from_ms: int, to_ms: int) -> str:
    """Fill variables in as Grafana does with all tenants, notifications and channels."""
    spans = {"${__from}": str(from_ms), "${__to}": str(to_ms)}
    for name, value in spans.items():
        sql = sql.replace(name, value)
    for name, query in HIDDEN.items():
        if f"${{{name}}}" in sql:
            found = client.query(f"SELECT {filled(client, query, from_ms, to_ms)}").result_rows[0][0]
            sql = sql.replace(f"${{{name}}}", str(found))
    return re.sub(r"\$\{\w+:sqlstring\}", "''", sql)


@EVERY
@pytest.mark.integration
def test_each_panel_s_query_answers(name: str, client: Client) -> None:
    for panel in BOARDS[name]["panels"]:
        sql = filled(client, panel["targets"][0]["rawSql"], NOW_MS - 86_400_000, NOW_MS)
        client.query(sql)
        assert client.query(f"DESCRIBE ({sql})").result_rows, panel["title"]


SPANS_S = (3600, 9000, 9001, 86_400, 30 * 86_400, 10_000 * 86_400)


@pytest.mark.integration
@pytest.mark.parametrize("end_ms", [NOW_MS, 1_357_000_000_000], ids=["now", "in 2012"])
def test_steps_and_rollups_are_those_of_the_named_queries(client: Client, end_ms: int) -> None:
    listed = ", ".join(
        (STEP, *(f"${{{name}}}" if name == "rollup_s" else f"'${{{name}}}'" for name in HIDDEN))
    )
    for span_s in SPANS_S:
        from_ms = max(0, end_ms - span_s * 1000)
        bound = bind({"from_ms": from_ms, "to_ms": end_ms}, NOW_MS)
        row = client.query(filled(client, f"SELECT {listed}", from_ms, end_ms)).result_rows[0]
        assert dict(zip(("step_s", *HIDDEN), row, strict=True)) == {
            key: bound[key] for key in ("step_s", *HIDDEN)
        }
