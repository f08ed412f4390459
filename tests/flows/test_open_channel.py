"""A channel that only a tenant and an account know, from the event in Kafka to the service."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from flows.channels import used_channels
from flows.supervisor import Supervisor
from sources.reader import TopicReader
from sources.topics import TopicAdmin, TopicPlan
from tests.flows.deployment import environment_of, variables
from tests.providers.scripted_http import Answer, Request, ScriptedHttp
from tests.waiting import PATIENCE_S, until
from tocsin.app.settings import Settings
from tocsin.cli.demo_environment import settings_from
from tocsin.cli.run import command
from tocsin.formats.codec import decode_outcome, encode, profile_key
from tocsin.model import topics
from tocsin.model.profile import Preferences, Profile

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
PARTITIONS = 1
ENDS = [
    ("ann", "oncall", "sent", ""),
    ("ann", "telegram", "sent", ""),
    ("bob", "oncall", "sent", ""),
    ("bob", "telegram", "suppressed", "channel_off"),
]
CATALOG = {
    "tenants/default.yaml": "categories: {ops: {}}\nchannels: {telegram: {}, oncall: {contact: account}}\n",
    "notifications/ops.yaml": "alarm: {on: {type: alarm}, category: ops, channels: [telegram, oncall]}\n",
    "templates/alarm/en/chat.j2": "{{ data.what }} is down",
    "templates/alarm/sample.json": '{"what": "x"}',
}


@contextmanager
def service() -> Iterator[tuple[str, list[Request]]]:
    """Run a chat's server in a thread; its address, and what it was sent."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = ScriptedHttp(Answer(200))
    asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(60)
    try:
        yield server.url.removeprefix("http://"), server.requests
    finally:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def prepared(kafka: str, redis: str, prefix: str, folder: Path, at: str) -> Settings:
    """Write the catalog and the accounts, and make the topics of the channels that they use."""
    for name, text in CATALOG.items():
        (folder / "catalog" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "catalog" / name).write_text(text)
    accounts = {
        "bot": {"vendor": "apprise", "channel": "telegram", "url": f"json://{at}/chat/{{to}}"},
        "team": {"vendor": "apprise", "channel": "oncall", "url": f"json://{at}/team"},
    }
    (folder / "providers.yaml").write_text(json.dumps({"accounts": accounts}))
    given = {"TOCSIN_PROVIDERS": str(folder / "providers.yaml"), "TOCSIN_HTTP_PORT": "0"}
    settings = settings_from(variables(kafka, redis, prefix, folder, PARTITIONS, **given))
    wanted = topics.needed(used_channels(settings))
    assert [name for name in wanted if name.endswith(".now")] == [
        "messages.oncall.now",
        "messages.telegram.now",
    ]
    TopicAdmin(settings.kafka, settings.topic_prefix).create(TopicPlan(PARTITIONS), wanted)
    return settings


def write(settings: Settings) -> None:
    """Write two users, one of whom wants no chat, and an event for each."""
    pen = Producer({"bootstrap.servers": settings.kafka})
    prefix = settings.topic_prefix
    users = {"ann": Profile(contacts={"telegram": "42"}, version=1)}
    users["bob"] = Profile(
        contacts={"telegram": "43"}, preferences=Preferences(channels={"telegram": False}), version=1
    )
    for user, profile in users.items():
        pen.produce(f"{prefix}{topics.PROFILES}", encode(profile), profile_key("default", user))
        event = {"specversion": "1.0", "id": f"e-{user}", "source": "/ops", "type": "alarm", "subject": user}
        value = json.dumps(event | {"data": {"what": "db"}})
        pen.produce(f"{prefix}{topics.EVENTS}", value, f"default/{user}".encode())
    assert pen.flush(30) == 0


def started(settings: Settings, flow: str, folder: Path) -> Supervisor:
    """Start one flow as a process of its own."""
    env = environment_of(settings)
    (folder / flow).mkdir()
    supervisor = Supervisor(1, lambda number: command(number, 1, flow), env, folder / flow)
    supervisor.start()
    return supervisor


def logs(folder: Path) -> str:
    """Read what the processes wrote."""
    return "".join(file.read_text() for file in folder.glob("*/*.log"))


def test_an_open_channel_goes_the_whole_way(
    kafka: str, redis_db: str, topic_prefix: str, tmp_path: Path
) -> None:
    with service() as (at, requests):
        settings = prepared(kafka, redis_db, topic_prefix, tmp_path, at)
        write(settings)
        flows = [started(settings, flow, tmp_path) for flow in ("decide", "deliver")]
        try:
            end = time.monotonic() + PATIENCE_S
            while len(requests) < 3:
                assert all(flow.check() is None for flow in flows), logs(tmp_path)
                assert time.monotonic() < end, logs(tmp_path)
                time.sleep(0.1)
            until(lambda: len(ends(settings)) == len(ENDS), "the outcome of each message")
        finally:
            for flow in flows:
                flow.stop()
    found = sorted((one.path.rstrip("/"), json.loads(one.body)["message"]) for one in requests)
    assert found == [("/chat/42", "db is down"), ("/team", "db is down"), ("/team", "db is down")]
    assert ends(settings) == ENDS


def ends(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Read what became of each message."""
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        found = {one.outcome_id: one for one in map(decode_outcome, reader.read(topics.OUTCOMES))}
    return sorted(
        (one.user, one.channel, one.status, one.reason) for one in found.values() if one.status != "admitted"
    )
