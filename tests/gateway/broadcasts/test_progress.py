"""Progress of broadcasts over HTTP, on outcomes of real decisions in a real ClickHouse engine."""

from pathlib import Path
from typing import Any

import msgspec

from dashboards import store
from sinks.clickhouse_store import ClickHouseLines
from tests.gateway.running import Running
from tests.operators.fleet import Fleet
from tocsin.formats.codec import encode
from tocsin.gateway.broadcasts.events import SOURCE
from tocsin.gateway.broadcasts.progress import summed_up
from tocsin.model.broadcast_list import LIST

USERS = [f"user-{number}" for number in range(8)]


def history(folder: Path, url: str) -> None:
    """Let lists end, pause and wait, and everyone's broadcast be cancelled; and ask for one twice."""
    fleet = Fleet(folder)
    for user in USERS:
        fleet.profile(user)
    fleet.run(2)
    for name, rate in (("done", 1_000), ("paused", 8), ("waiting", 8)):
        fleet.broadcast(name, LIST, source=SOURCE, tocsinrate=rate)
        fleet.users(name, USERS[:5], source=SOURCE)
    fleet.broadcast("stopped", source=SOURCE, tocsinrate=8)
    fleet.broadcast("wrong", "nobody", source=SOURCE)
    for name in ("done", "paused"):
        fleet.close_list(name, SOURCE)
    fleet.run(8)
    fleet.control("paused", "pause")
    fleet.control("stopped", "cancel")
    fleet.broadcast("done", LIST, source=SOURCE, tocsinrate=1_000)
    fleet.settle()
    lines = b"\n".join(encode(one) for one in fleet.outcomes())
    ClickHouseLines(lambda: store.connect(url)).insert(lines)
    fleet.stop()


async def progress(gateway: Running, name: str, tenant: str = "default") -> dict[str, Any]:
    answer = await gateway.client.get(f"/v1/broadcasts/{name}", headers=gateway.bearing(tenant))
    found: dict[str, Any] = answer.json()
    return found


async def test_progress_is_what_the_outcomes_say(
    gateway_with_clickhouse: Running, clickhouse_db: str, tmp_path: Path
) -> None:
    gateway = gateway_with_clickhouse
    history(tmp_path / "shard", clickhouse_db)
    done = await progress(gateway, "done")
    assert done.pop("started") < done.pop("ended")
    assert done == {
        "id": "done", "state": "finished", "to": "@list", "rate": 1_000,
        "users": 5, "reached": 5, "admitted": 5, "parts": 4,
    }  # fmt: skip
    paused = await progress(gateway, "paused")
    assert (paused["state"], 0 < paused["reached"] < 5) == ("paused", True)
    assert paused["users"] == paused["reached"] == paused["admitted"]
    waiting = await progress(gateway, "waiting")
    assert (waiting["state"], waiting.get("reached", 0)) == ("uploading", 0)
    stopped = await progress(gateway, "stopped")
    assert (stopped["state"], stopped["parts"], "ended" in stopped) == ("cancelled", 4, True)
    wrong = await progress(gateway, "wrong")
    assert (wrong["state"], wrong["reason"]) == ("dead", "bad_field")
    assert "tocsinsegment" in wrong["error"]
    assert (await progress(gateway, "done", "other"))["status"] == 404
    listed = await gateway.client.get("/v1/broadcasts", headers=gateway.bearing())
    states = {one["id"]: one["state"] for one in listed.json()["broadcasts"]}
    assert states == {"done": "finished", "paused": "paused", "waiting": "uploading", "stopped": "cancelled"}
    nothing = await gateway.client.get("/v1/broadcasts", headers=gateway.bearing("other"))
    assert nothing.json() == {"broadcasts": []}
    pausing = await gateway.client.post("/v1/broadcasts/done/pause", headers=gateway.bearing())
    assert pausing.status_code == 202, "known from ClickHouse, although no note of it is in Redis"


def row(status: str, reason: str, attempt: int = 0, **detail: object) -> dict[str, Any]:
    return {
        "notification_id": str(detail.pop("of", "a")), "status": status, "reason": reason, "attempt": attempt,
        "at_ms": attempt, "detail": msgspec.json.encode(detail),
    }  # fmt: skip


def test_the_last_word_counts_in_any_order_of_rows() -> None:
    rows = [row("held", "uploading"), row("held", "broadcast", 1), row("held", "paused", 2)]
    repeated = row("suppressed", "duplicate", of="b")
    for found in (rows, rows[::-1], [repeated, *rows], [*rows, repeated]):
        summed = summed_up("b1", found)
        assert summed is not None
        assert summed.state == "paused"
    assert summed_up("b1", []) is None


def test_parts_count_until_the_whole_has_ended() -> None:
    part = row("finished", "", users=3, reached=2, key_group="0.1", of="part")
    running = summed_up("b1", [row("held", "broadcast", rate=7), part])
    assert running is not None
    assert (running.users, running.reached, running.parts, running.rate) == (3, 2, 1, 7)
    end = row("finished", "", 1, users=9, reached=8, admitted=7, held=1, missed=0, parts=4)
    ended = summed_up("b1", [row("held", "broadcast"), part, end])
    assert ended is not None
    assert (ended.users, ended.reached, ended.held, ended.state) == (9, 8, 1, "finished")
