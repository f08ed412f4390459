"""A broadcast to a list while its gateway and its shards are killed: nobody is lost, nobody gets it twice."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from confluent_kafka import Producer
from redis.asyncio import Redis

from flows.supervisor import Supervisor
from sources.partitioner import partition_of
from sources.reader import TopicReader
from tests.flows.deployment import deployed, logs, variables
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings, environment
from tocsin.cli.balance import draw
from tocsin.cli.demo_environment import settings_from
from tocsin.cli.run import command
from tocsin.devkit.processes import free_ports
from tocsin.formats.codec import decode_outcome, encode, profile_key
from tocsin.gateway.key_store import KeyStore
from tocsin.gateway.keys import SCOPES, Key, Secret, bearer, hashed, new_id, new_secret
from tocsin.model import topics
from tocsin.model.outcome import Outcome
from tocsin.model.profile import Profile
from tocsin.model.raw import RawRecord

pytestmark = [pytest.mark.laws, pytest.mark.timeout(300)]
PARTITIONS, SHARDS, CHUNKS = 4, 2, 12
USERS = [f"u{number}" for number in range(3_600)]
CHUNK = len(USERS) // CHUNKS
RATE, KILLS = 300, 3


@pytest.fixture
def env(kafka: str, redis_db: str, topic_prefix: str, tmp_path: Path) -> Mapping[str, str]:
    catalog = {"TOCSIN_CATALOG": str(example_catalog())}
    own = variables(kafka, redis_db, topic_prefix, tmp_path, PARTITIONS, **catalog)
    found = {**environment(), **own}
    deployed(found)
    return found


@pytest.fixture
def settings(env: Mapping[str, str]) -> Settings:
    return settings_from(env)


@pytest.fixture
def shards(env: Mapping[str, str], tmp_path: Path) -> Iterator[Supervisor]:
    folder = tmp_path / "logs"
    folder.mkdir()
    made = Supervisor(SHARDS, lambda number: command(number, SHARDS, "decide"), env, folder)
    yield made
    made.stop()


class Gateways:
    """One gateway process at a fixed port, killed and started again."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        (port,) = free_ports(1)  # of those that no outgoing connection takes while the process is down
        self._command = [sys.executable, "-m", "tocsin.cli.main", "gateway", "--port", str(port)]
        self._env, self._log = dict(env), log
        self.address = f"http://127.0.0.1:{port}"
        self.kills = 0
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(self._command, env=self._env, stdout=out, stderr=out)

    def kill(self) -> None:
        """Kill the process, and start another."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self.kills += 1
        self._start()

    def stop(self) -> None:
        """Kill the process for good."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def gateways(env: Mapping[str, str], tmp_path: Path) -> Iterator[Gateways]:
    made = Gateways(env, tmp_path / "gateway.log")
    yield made
    made.stop()


def make_key(settings: Settings) -> str:
    key_id, secret = new_id(), new_secret()
    made = Key(key_id=key_id, tenant="default", scopes=tuple(SCOPES), secrets=(Secret(hashed(secret)),))

    async def store() -> None:
        async with Redis.from_url(settings.redis) as redis:
            await KeyStore(redis, settings.topic_prefix).set(made)

    asyncio.run(store())
    return bearer(key_id, secret)


def write_profiles(settings: Settings) -> None:
    pen = Producer({"bootstrap.servers": settings.kafka, "linger.ms": 20})
    for user in USERS:
        key, profile = profile_key("default", user), encode(Profile(email=f"{user}@mail.example", version=1))
        place = partition_of(key, PARTITIONS)
        pen.produce(f"{settings.topic_prefix}{topics.PROFILES}", profile, key, partition=place)
        pen.poll(0)
    assert pen.flush(30) == 0


class Client:
    """A client that repeats what was not answered, as the documentation says."""

    def __init__(self, address: str, key: str) -> None:
        self._http = httpx2.Client(base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=10)
        self.repeats = self.answers = 0
        self.may_start = threading.Event()

    def send(self, method: str, path: str, expected: int, **content: object) -> None:
        """Send a request until it is answered as expected."""
        end = time.monotonic() + 90
        while time.monotonic() < end:
            with suppress(httpx2.TransportError):
                answer = self._http.request(method, path, **content)  # type: ignore[arg-type]  # JSON or bytes
                if answer.status_code == expected:
                    self.answers += 1
                    return
                assert answer.status_code in {401, 503}, answer.text
            self.repeats += 1
            time.sleep(0.05)
        raise AssertionError(f"{method} {path} is never answered with {expected}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(self) -> None:
        """Ask for the broadcast, upload its list, and start it."""
        asked = {"id": "b1", "to": "list", "type": "flight.landed", "rate": RATE}
        asked |= {"data": {"flight": {"id": "UA-1545"}}}
        self.send("POST", "/v1/broadcasts", 202, json=asked)
        for number in range(CHUNKS):
            lines = "\n".join(USERS[number * CHUNK : number * CHUNK + CHUNK]).encode()
            path, kind = f"/v1/broadcasts/b1/users/{number}", {"content-type": "text/plain"}
            self.send("PUT", path, 200, content=lines, headers=kind)
            time.sleep(0.1)
        assert self.may_start.wait(90), "the gateway is not killed"
        self.send("POST", "/v1/broadcasts/b1/start", 202, json={"users": len(USERS)})


def kill_shard(shards: Supervisor, number: int) -> None:
    process = shards.shards[number].process
    if process is not None:  # a restart may wait
        os.kill(process.pid, signal.SIGKILL)


class Said:
    """Follows the outcomes from the first."""

    def __init__(self, settings: Settings, reader: TopicReader) -> None:
        self._settings = settings
        self._reader = reader
        self._found: dict[str, Outcome] = {}
        reader.start([topics.OUTCOMES])

    def until(self, enough: Callable[["Said"], bool], shards: Supervisor, end_s: float) -> None:
        """Read on until it is enough."""
        while not enough(self):
            assert shards.check() is None, logs(self._settings)
            assert time.monotonic() < end_s, f"{self.reached().total()} were reached: {logs(self._settings)}"
            self._take(self._reader.poll(0.2))

    def read_all(self) -> None:
        """Read once more all that there is: of two partitions, one may have been read ahead of the other."""
        self._take(self._reader.read(topics.OUTCOMES))

    def _take(self, records: Iterable[RawRecord]) -> None:
        for record in records:
            outcome = decode_outcome(record)
            self._found[outcome.outcome_id] = outcome

    def reached(self) -> Counter[str]:
        """Count the notifications that each user has been admitted for."""
        found = {(one.user, one.notification_id) for one in self._found.values() if one.status == "admitted"}
        return Counter(user for user, _ in found)

    def admitted(self) -> int:
        """Count what was admitted, one message a channel and contact point."""
        return sum(one.status == "admitted" for one in self._found.values())

    def ended(self) -> list[Outcome]:
        """Return the final outcomes of broadcasts."""
        return [one for one in self._found.values() if "parts" in one.detail]


def test_gateway_and_shards_killed_within_a_list_reach_each_user_once(
    settings: Settings, shards: Supervisor, gateways: Gateways, tmp_path: Path
) -> None:
    write_profiles(settings)
    shards.start()
    client = Client(gateways.address, make_key(settings))
    uploading = threading.Thread(target=client.upload)
    uploading.start()
    end = time.monotonic() + 200
    while uploading.is_alive():
        assert shards.check() is None, logs(settings)
        assert time.monotonic() < end, (tmp_path / "gateway.log").read_text()
        if client.answers > 3 * gateways.kills + 1 and gateways.kills < KILLS:
            gateways.kill()
            kill_shard(shards, gateways.kills % SHARDS)
        if gateways.kills == KILLS:
            client.may_start.set()
        time.sleep(0.01)
    client.close()
    assert gateways.kills == KILLS
    assert client.repeats, "no kill hit a request"
    with TopicReader(settings.kafka, settings.topic_prefix) as reader:
        said = Said(settings, reader)
        for number, enough in enumerate((300, 1_200, 2_100)):
            said.until(lambda said, enough=enough: len(said.reached()) >= enough, shards, end)  # type: ignore[misc]  # no type of a default
            assert len(said.reached()) < len(USERS), "it is killed on the way"
            kill_shard(shards, number % SHARDS)
        said.until(lambda said: bool(said.ended()) and len(said.reached()) >= len(USERS), shards, end)
        said.read_all()
        assert said.reached() == dict.fromkeys(USERS, 1), "nobody is missing or twice"
        (ended,) = said.ended()
        bulk = [name for name in topics.MESSAGES if name.endswith(".bulk")]
        messages = {record.value for name in bulk for record in reader.read(name)}
    assert (ended.status, ended.detail["users"], ended.detail["reached"]) == ("finished", 3_600, 3_600)
    assert len(messages) == said.admitted(), "a copy equals its original"
    assert draw(settings, clickhouse=False).error == 0
