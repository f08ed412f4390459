"""JSON that is nested too deep is called so, with the limit, wherever it comes."""

from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from tests.gateway.running import Running
from tests.render.preview_catalog import write_catalog
from tocsin.errors import ReportError
from tocsin.gateway.preview.pages import PreviewPages
from tocsin.gateway.preview.workbench import Workbench
from tocsin.gateway.problems import DEPTH, Problem, decoded
from tocsin.providers.report_fields import decoded as decoded_report


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("kind", [Any, list[Any], list[msgspec.Raw], msgspec.Raw])
def test_a_body_is_nested_as_deep_as_the_limit_and_not_much_deeper(kind: Any) -> None:
    assert decoded(nested(DEPTH), kind)
    with pytest.raises(Problem, match=f"at most {DEPTH} deep") as refused:
        decoded(nested(20_000), kind, "[3]")
    (error,) = refused.value.errors
    assert (refused.value.status, error.field, error.kind) == (400, "[3]", "nested too deep")


def test_a_report_of_a_provider_too() -> None:
    with pytest.raises(ReportError, match="nested too deep"):
        decoded_report(nested(20_000))


async def test_the_page_for_previews_says_so_too(tmp_path: Path) -> None:
    pages = PreviewPages(Workbench(write_catalog(tmp_path), lambda: 0)).application()
    transport = httpx2.ASGITransport(app=pages)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8810") as client:
        answer = await client.post("/api/preview", content=b'{"data": ' + nested(20_000) + b"}")
    assert (answer.status_code, f"at most {DEPTH} deep" in answer.json()["detail"]) == (422, True)


async def test_every_door_for_json_says_so(gateway: Running) -> None:
    deep, attributes = (b'{"%b": {"x": %b}}' % (name, nested(20_000)) for name in (b"data", b"attributes"))
    doors = (
        ("POST", "/v1/notifications", "application/json", deep),
        ("POST", "/v1/events", "application/cloudevents+json", deep),
        ("POST", "/v1/events", "application/cloudevents-batch+json", nested(20_000)),
        ("POST", "/v1/broadcasts", "application/json", deep),
        ("PUT", "/v1/users/ada", "application/json", attributes),
        ("POST", "/v1/previews", "application/json", deep),
    )
    for method, path, kind, body in doors:
        headers = gateway.bearing() | {"content-type": kind}
        answer = await gateway.client.request(method, path, content=body, headers=headers)
        found = (answer.status_code, answer.json()["errors"][0]["kind"])
        assert found == (400, "nested too deep"), f"{path} {kind}: {answer.text}"
    assert await gateway.records("events") == []
