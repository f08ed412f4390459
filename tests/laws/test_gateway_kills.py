"""Law 1 at the gateway: whatever is answered 2xx is in Kafka, once by its idempotency key, under `kill -9`.

Two processes share a port. They are killed in turn while producers send, and each producer repeats a request
that got no answer, with the same key. So a request may have been written by a process that died before it
answered: the repeat must name the same event. Meanwhile others change profiles, each to the next number; the
topic must have each number that was answered, and end with the newest.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from sources.topics import TopicAdmin, TopicPlan
from tests.gateway.running import SECRET, Written, read_all, settings_for
from tests.waiting import until
from tocsin.app.settings import Settings
from tocsin.delivery.redis_client import open_client
from tocsin.gateway.key_admin import KeyAdmin
from tocsin.gateway.key_store import KeyStore

pytestmark = [pytest.mark.laws, pytest.mark.e2e]

TOPICS = ("events", "bulk", "profiles", "receipts", "subscriptions", "audit")
PRODUCERS = 16
PEOPLE = 4
KILLS = 4
LEAST = 200
EVERY_S = 3.0
AFTER_S = 1.5
LINGER_MS = 100
"""So long a record waits in its process: each kill loses those that were answered before Kafka had them."""


def environment(settings: Settings) -> dict[str, str]:
    """Write the settings as the environment of a process."""
    named = {
        "TOCSIN_KAFKA": settings.kafka,
        "TOCSIN_TOPIC_PREFIX": settings.topic_prefix,
        "TOCSIN_REDIS": settings.redis,
        "TOCSIN_SECRET": SECRET,
        "TOCSIN_CATALOG": str(settings.catalog),
        "TOCSIN_STATE_DIR": str(settings.state_dir),
        "TOCSIN_PARTITIONS": str(settings.partitions),
        "TOCSIN_GATEWAY_PER_S": "0",
        "TOCSIN_KAFKA_OPTIONS": json.dumps({"linger.ms": str(LINGER_MS)}),
    }
    return {**os.environ, **named}


@contextmanager
def two_processes(settings: Settings) -> Iterator[tuple[str, int]]:
    """Run the gateway; gives its address and the process id of its supervisor."""
    words = [sys.executable, "-m", "tocsin.cli.main", "gateway", "--port=0", "--workers=2", "--json"]
    with subprocess.Popen(words, env=environment(settings), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["address"], process.pid
        finally:
            process.terminate()


def children(pid: int) -> list[int]:
    """List the processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(address: str) -> bool:
    """Tell whether the gateway answers."""
    try:
        return httpx2.get(f"{address}livez", timeout=2, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


async def a_key(settings: Settings) -> str:
    """Make an API key."""
    client = open_client(settings.redis)
    admin = KeyAdmin(KeyStore(client, settings.topic_prefix), SECRET.encode())
    made = await admin.create("default", ["notifications:write", "users:write", "users:read"], 1)
    await client.aclose()
    return made.secret


class Clients:
    """Clients that call the gateway at once, each in a loop until stopped.

    Attributes:
        repeated: how many requests were sent again.
    """

    def __init__(self, address: str, key: str, count: int) -> None:
        self._address = address
        self._key = key
        self._count = count
        self.stop = False
        self.repeated = 0

    async def run(self) -> None:
        """Call from all of them."""
        headers = {"authorization": f"Bearer {self._key}"}
        async with httpx2.AsyncClient(
            base_url=self._address, headers=headers, timeout=10, trust_env=False
        ) as client:
            await asyncio.gather(*[self.loop(client, number) for number in range(self._count)])

    async def loop(self, client: httpx2.AsyncClient, number: int) -> None:
        """Call as one of them until stopped."""
        raise NotImplementedError


class Producers(Clients):
    """Producers that repeat a request until it is answered 202.

    Attributes:
        accepted: event id by idempotency key, of each 202.
    """

    def __init__(self, address: str, key: str) -> None:
        super().__init__(address, key, PRODUCERS)
        self.accepted: dict[str, str] = {}

    async def loop(self, client: httpx2.AsyncClient, number: int) -> None:
        """Send one notification after another."""
        sent = 0
        while not self.stop:
            name = f"producer-{number}-{sent}"
            self.accepted[name] = await self._accepted(client, name, f"user-{number}")
            sent += 1

    async def _accepted(self, client: httpx2.AsyncClient, name: str, user: str) -> str:
        while True:
            try:
                answer = await client.post(
                    "v1/notifications",
                    json={"to": user, "type": "flight.delayed", "data": {"key": name}},
                    headers={"idempotency-key": name},
                )
            except httpx2.TransportError:
                self.repeated += 1
                await asyncio.sleep(0.02)
                continue
            if answer.status_code == 202:
                return str(answer.json()["event_id"])
            assert answer.status_code in {409, 503}, answer.text  # the first try is still under way, or Kafka
            self.repeated += 1
            await asyncio.sleep(0.05)


class People(Clients):
    """Change profiles, each user's to the next number, and repeat what was not answered.

    Attributes:
        answered: the newest number of each user that was answered 200 or 201.
    """

    def __init__(self, address: str, key: str) -> None:
        super().__init__(address, key, PEOPLE)
        self.answered: dict[str, int] = {}

    async def loop(self, client: httpx2.AsyncClient, number: int) -> None:
        """Change the profile of one user again and again."""
        user, number = f"person-{number}", 0
        while not self.stop:
            number += 1
            offers = number % 2 > 0
            body = {"attributes": {"number": number}, "preferences": {"categories": {"offers": offers}}}
            while not await self._is_done(client, user, body):
                self.repeated += 1
                await asyncio.sleep(0.05)
            self.answered[user] = number
            await asyncio.sleep(0.05)

    async def _is_done(self, client: httpx2.AsyncClient, user: str, body: dict[str, object]) -> bool:
        try:
            answer = await client.put(f"v1/users/{user}", json=body)
        except httpx2.TransportError:
            return False
        assert answer.status_code in {200, 201, 503}, answer.text
        return answer.status_code != 503


def numbers_of(records: list[Written]) -> dict[str, list[int]]:
    """Read the numbers of each user, in the order of the topic; no change is half done."""
    numbers = defaultdict(list)
    for record in records:
        profile = json.loads(record.value or b"{}")
        number = profile["attributes"]["number"]
        numbers[(record.key or b"").decode().partition("/")[2]].append(number)
        assert profile["preferences"]["categories"]["offers"] == (number % 2 > 0), "a change is whole"
    return numbers


async def check_profiles(people: People, settings: Settings) -> None:
    """Compare what was answered with the topic. A late copy of a change is followed by the newest again."""

    def newest() -> dict[str, int]:
        return {user: found[-1] for user, found in numbers_of(read_all(settings, "profiles")).items()}

    await asyncio.to_thread(until, lambda: newest() == people.answered)
    numbers = numbers_of(await asyncio.to_thread(read_all, settings, "profiles"))
    lost = {user: {*range(1, last + 1)} - {*numbers[user]} for user, last in people.answered.items()}
    assert lost == {user: set() for user in people.answered}


async def killing(pid: int, producers: Producers, people: People) -> list[int]:
    """Kill one process after another, while all producers go on.

    A change whose process was killed is open for ten seconds. So people stop earlier, to be done by the end.
    """
    killed: list[int] = []
    for turn in range(KILLS):
        await asyncio.sleep(EVERY_S)
        while not (alive := sorted(children(pid))):
            await asyncio.sleep(0.05)
        os.kill(alive[turn % len(alive)], signal.SIGKILL)
        killed.append(alive[turn % len(alive)])
        people.stop = people.stop or turn > 0
    await asyncio.sleep(AFTER_S)
    while len(producers.accepted) <= LEAST:
        await asyncio.sleep(0.05)
    producers.stop = True
    return killed


async def test_what_is_answered_202_is_in_kafka_once_by_its_key(
    kafka: str, topic_prefix: str, redis_db: str, tmp_path: Path
) -> None:
    settings = settings_for(kafka, topic_prefix, redis_db, "", tmp_path)
    TopicAdmin(kafka, topic_prefix).create(TopicPlan(settings.partitions), list(TOPICS))
    key = await a_key(settings)
    with two_processes(settings) as (address, pid):
        await asyncio.to_thread(until, lambda: is_alive(address))
        producers, people = Producers(address, key), People(address, key)
        began_s = time.monotonic()
        killed, *_ = await asyncio.gather(killing(pid, producers, people), producers.run(), people.run())
        took_s = time.monotonic() - began_s
        await check_profiles(people, settings)
    events = defaultdict(set)
    for record in await asyncio.to_thread(read_all, settings, "events"):
        event = json.loads(record.value or b"{}")
        events[event["data"]["key"]].add(event["id"])
    print(f"{len(producers.accepted)} accepted, {producers.repeated} repeated, {killed}, {took_s:.0f} s")  # noqa: T201
    print(f"{sum(people.answered.values())} changes, {people.repeated} repeated")  # noqa: T201
    assert len(killed) == KILLS
    assert len(people.answered) == PEOPLE
    assert len(producers.accepted) > LEAST
    assert producers.repeated, "no kill met a request"
    lost = {name for name, event_id in producers.accepted.items() if event_id not in events[name]}
    assert not lost
    assert {name: found for name, found in events.items() if len(found) > 1} == {}
