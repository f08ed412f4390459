"""An endpoint that is given up: operators are alerted, the audit log has it, and metrics count it."""

import asyncio
import re
import time
from pathlib import Path
from urllib.request import urlopen

import msgspec

from sources.reader import TopicReader
from tests.flows.reports.test_reporter import World, until, world
from tests.providers.scripted_http import Answer, ScriptedHttp
from tests.providers.valkey import free_port
from tests.waiting import PATIENCE_S
from tocsin.app.metric_defs import ALL_METRICS
from tocsin.model import topics
from tocsin.model.audit import AuditRecord

__all__ = ["world"]
ACCOUNTS = """
accounts:
  ops: {vendor: sendgrid, api_key: SG.x, base_url: "URL"}
alerts:
  to: [{account: ops, address: ops@example.com, sender: tocsin@example.com}]
"""


async def test_operators_are_told_of_an_endpoint_that_was_switched_off(world: World, tmp_path: Path) -> None:
    file = tmp_path / "providers.yaml"
    async with ScriptedHttp(lambda _: Answer(202)) as mails:
        file.write_text(ACCOUNTS.replace("URL", mails.url))
        port = free_port()
        world.settings = world.settings.model_copy(update={"providers": file, "http_port": port})
        await world.endpoint("default/gone")
        world.server.status["default-gone"] = 410
        async with world.reporting() as reporter:
            await until(lambda: not reporter.behind and len(reporter.known) == 1)
            world.write("default", range(3))
            await until(lambda: mails.requests)
            await until(lambda: "default/gone" not in reporter.known)
            text = await asyncio.to_thread(scraped_with, port, 'tocsin_alerts_total{result="sent"} 1.0')
    (mail,) = [request.body.decode() for request in mails.requests]
    assert "endpoint default/gone is switched off" in mail
    assert "tocsin webhooks retry default/gone" in mail, "the cure"
    assert str(world.server.address) not in mail
    served = set(re.findall(r"^# HELP (\w+) ", text, re.MULTILINE))
    assert {"tocsin_reports_total", "tocsin_report_endpoints_behind", "tocsin_alerts_total"} == served
    assert served <= ALL_METRICS.keys()
    with TopicReader(world.settings.kafka, world.settings.topic_prefix) as reader:
        (entered,) = [
            msgspec.json.decode(each.value or b"", type=AuditRecord) for each in reader.read(topics.AUDIT)
        ]
    assert (entered.action, entered.tenant, entered.subject) == ("webhook_switched_off", "default", "gone")


def scraped_with(port: int, line: str) -> str:
    """Scrape until a line is there: the mail is counted once its answer has come."""
    end = time.monotonic() + PATIENCE_S
    while line not in (text := scraped(port)):
        assert time.monotonic() < end, text
    return text


def scraped(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text: str = answer.read().decode()
    return text
