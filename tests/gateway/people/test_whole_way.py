"""A person opts out by the link in a real mail: nothing of that category arrives any more, whatever waits."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from flows.supervisor import Supervisor
from sources.topics import TopicAdmin, TopicPlan
from tests.flows.test_open_channel import logs
from tests.gateway.people.conftest import until_ready
from tests.gateway.people.test_pages import ONE_CLICK, form_of, post
from tests.gateway.people.test_users import Api
from tests.gateway.running import SECRET, Running, running, settings_for
from tests.services import SandboxAddress
from tests.waiting import PATIENCE_S
from tocsin.app.settings import Settings, environment
from tocsin.cli.run import command
from tocsin.gateway.writer import Record
from tocsin.model import topics

pytestmark = [pytest.mark.integration, pytest.mark.timeout(150)]
BASE = "https://notify.test"
_WAIT_S = 20
"""How long a letter waits: in this time a slow machine, too, decides the opt-out that comes after it."""
CATALOG = {
    "tenants/default.yaml": """\
categories: {news: {title: News}, bills: {required: true}}
limits: []
senders: {email: paper@mail.example}
""",
    "notifications/paper.yaml": """\
letter: {on: {type: letter}, category: news, channels: [email], template: letter}
bill: {on: {type: bill}, category: bills, channels: [email], template: letter}
""",
    "templates/letter/en/subject.j2": "{{ data.name }}",
    "templates/letter/en/text.j2": "{{ data.name }} {{ unsubscribe_url }} {{ preferences_url }}",
    "templates/letter/en/html.j2": "<p>{{ data.name }}</p><a href='{{ preferences_url }}'>settings</a>",
    "templates/letter/sample.json": '{"name": "x"}',
}


class Box:
    """The mails of one person in the sandbox."""

    def __init__(self, sandbox: SandboxAddress, address: str, flows: list[Supervisor], folder: Path) -> None:
        self._http, self._address = sandbox.http, address
        self._flows, self._folder = flows, folder

    async def mails(self) -> list[dict[str, Any]]:
        async with httpx2.AsyncClient(base_url=self._http, timeout=PATIENCE_S) as client:
            found = (await client.get("/sent", params={"content": 1})).json()["messages"]
        return [one for one in found if self._address in json.dumps(one)]

    async def subjects(self) -> list[str]:
        return [str(one["content"]["subject"]) for one in await self.mails()]

    async def until(self, subject: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while subject not in await self.subjects():
            assert all(flow.check() is None for flow in self._flows), logs(self._folder)
            assert time.monotonic() < end, logs(self._folder)
            await asyncio.sleep(0.1)


def prepared(kafka: str, redis: str, prefix: str, folder: Path, sandbox: SandboxAddress) -> Settings:
    """Write the catalog and the account of the sandbox."""
    for name, text in CATALOG.items():
        (folder / "catalog" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "catalog" / name).write_text(text)
    account = {"vendor": "sendgrid", "api_key": "SG.test", "base_url": f"{sandbox.http}/sendgrid"}
    (folder / "providers.yaml").write_text(json.dumps({"accounts": {"mail": account}}))
    own = {
        "catalog": folder / "catalog",
        "providers": folder / "providers.yaml",
        "gateway_url": BASE,
        "http_port": 0,
    }
    return settings_for(kafka, prefix, redis, "", folder).model_copy(update=own)


def started(settings: Settings, flow: str, folder: Path) -> Supervisor:
    """Start one flow as a process of its own."""
    names = (
        "kafka",
        "redis",
        "topic_prefix",
        "state_dir",
        "catalog",
        "providers",
        "partitions",
        "gateway_url",
    )
    given = {f"TOCSIN_{name.upper()}": str(getattr(settings, name)) for name in names}
    env = {**environment(), **given, "TOCSIN_SECRET": SECRET, "TOCSIN_HTTP_PORT": "0"}
    (folder / flow).mkdir()
    supervisor = Supervisor(1, lambda number: command(number, 1, flow), env, folder / flow)
    supervisor.start()
    return supervisor


async def send(gateway: Running, kind: str, name: str, **more: str) -> None:
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": name,
        "source": "/paper",
        "type": kind,
        "subject": "ada",
    }
    event |= {"time": datetime.now(UTC).isoformat(), "data": {"name": name}} | more
    await gateway.gateway.writer.write(Record(topics.EVENTS, b"default/ada", json.dumps(event).encode()))


async def test_nothing_of_a_category_arrives_after_its_link_was_used(
    kafka: str, redis_db: str, topic_prefix: str, tmp_path: Path, sandbox: SandboxAddress
) -> None:
    """Processes start and stop beside no gateway: meanwhile the loop stands still, and Redis seems away."""
    settings = prepared(kafka, redis_db, topic_prefix, tmp_path, sandbox)
    address = f"ada-{topic_prefix.strip('.')}@mail.example"
    TopicAdmin(kafka, topic_prefix).create(TopicPlan(settings.partitions), topics.needed(["email"]))
    flows = [started(settings, flow, tmp_path) for flow in ("decide", "deliver")]
    try:
        async with running(settings) as gateway:
            await until_ready(gateway)
            await Api(gateway)("PUT", "users/ada", {"email": address})
            await _opted_out(gateway, Box(sandbox, address, flows, tmp_path))
    finally:
        for flow in flows:
            flow.stop()


async def _opted_out(gateway: Running, box: Box) -> None:
    await send(gateway, "letter", "the first letter")
    await box.until("the first letter")
    later = (datetime.now(UTC) + timedelta(seconds=_WAIT_S)).isoformat()
    await send(gateway, "letter", "a letter that waits", tocsinsendat=later)
    await _said(gateway, "held", "scheduled", {"a letter that waits"})
    (mail,) = await box.mails()
    headers = dict(mail["content"]["headers"])
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = headers["List-Unsubscribe"].strip("<>").removeprefix(BASE)
    assert (await post(gateway.client, link, [*ONE_CLICK.items()])).status_code == 200
    await _said(gateway, "unsubscribed", "", {""})  # an event may be read before an older receipt
    await send(gateway, "letter", "the second letter")
    await send(gateway, "bill", "the first bill")
    await box.until("the first bill")
    await asyncio.sleep(max(0.0, (datetime.fromisoformat(later) - datetime.now(UTC)).total_seconds() + 1))
    await send(gateway, "bill", "the second bill")
    await box.until("the second bill")
    assert sorted(await box.subjects()) == ["the first bill", "the first letter", "the second bill"]
    await _subscribed_again(gateway, mail["content"]["text"].split()[-1].removeprefix(BASE))
    await _a_letter_arrives(gateway, box)
    await _said(gateway, "suppressed", "category_off", {"the second letter", "a letter that waits"})


async def _said(gateway: Running, status: str, reason: str, events: set[str]) -> None:
    """Wait until there is an outcome of a status and reason for each of some events."""
    async with asyncio.timeout(PATIENCE_S):
        while events:
            found = [json.loads(each.value or b"") for each in await gateway.records(topics.OUTCOMES)]
            ends = {(one["status"], one.get("reason", ""), one.get("event_id", "")) for one in found}
            events = {name for name in events if (status, reason, name) not in ends}


async def _a_letter_arrives(gateway: Running, box: Box) -> None:
    """Send letters until one arrives: the first may be decided before the flow has read the profile."""
    number = 0
    async with asyncio.timeout(PATIENCE_S):
        while not any(subject.startswith("letter ") for subject in await box.subjects()):
            number += 1
            await send(gateway, "letter", f"letter {number}")
            await asyncio.sleep(1)


async def _subscribed_again(gateway: Running, page: str) -> None:
    """Switch the category on again, on the page that the same mail leads to."""
    form = form_of((await gateway.client.get(page)).text)
    assert ("on", "email:news") not in form
    assert (await post(gateway.client, page, [*form, ("on", "email:news")])).status_code == 303
