"""Elastic delivery: processes join and die while messages come; nothing is lost, doubled or out of order."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import yaml

from bench.fleet import Feeder
from bench.soak.load import write_catalog
from flows.elastic import ElasticDelivery, free_number
from flows.plan import ShardPlan
from sources.reader import TopicReader
from sources.topics import TopicAdmin, TopicPlan
from tests.providers.messages import message
from tests.services import SandboxAddress
from tests.waiting import PATIENCE_S, until
from tocsin.app.settings import environment
from tocsin.cli.demo_environment import settings_from
from tocsin.errors import SettingsError
from tocsin.formats.codec import decode_outcome
from tocsin.model import topics
from tocsin.model.ids import digest
from tocsin.model.message import Target
from tocsin.model.statuses import Reason, Status

PARTITIONS, USERS = 6, 30
NOW = topics.messages("sms")
_SHOWN = re.compile(rb"delivers partitions ([\d, ]+)")


class Fleet:
    """Elastic processes over one set of topics, and what was written for them."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.settings = settings_from(env)
        self._folder = folder
        self._env = env
        self._feeder = Feeder(self.settings, linger_ms=1)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.written: list[str] = []

    def start(self, name: str) -> None:
        argv = [sys.executable, "-m", "tocsin.cli.main", "run", "--flow", "deliver", "--elastic"]
        env = self._env | {"TOCSIN_STATE_DIR": str(self._folder / name)}
        with (self._folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(argv, env=env, stdout=log, stderr=log)

    def share(self, name: str) -> set[int]:
        """Give the partitions that a process delivers now, as it said last."""
        said = _SHOWN.findall((self._folder / f"{name}.log").read_bytes())
        return set(map(int, said[-1].split(b","))) if said else set()

    def shares_all(self, *names: str) -> bool:
        shares = [self.share(name) for name in names]
        return all(shares) and sorted(chain.from_iterable(shares)) == list(range(PARTITIONS))

    def write(self, count: int) -> None:
        """Write messages of all users in turns."""
        for number in range(len(self.written), len(self.written) + count):
            user = f"u{number % USERS}"
            name, to = digest("elastic", str(number)), Target(f"+1415555{number % USERS:04d}")
            data = msgspec.Raw(json.dumps(DATA | {"booking": f"{number:06d}"}).encode())
            made = message(
                user,
                number,
                message_id=name,
                notification_id=name,
                tenant="default",
                channel="sms",
                target=to,
                template="welcome",
                category="of_push",
                notification="welcome_sms",
                data=data,
                profile_version=0,
                decided_ms=time.time_ns() // 1_000_000,
            )
            self._feeder.write((NOW, f"default/{user}".encode(), msgspec.json.encode(made)))
            self.written.append(name)
        self._feeder.flush()

    def outcomes(self) -> list[Any]:
        settings = self.settings
        with TopicReader(settings.kafka, settings.topic_prefix, settings.kafka_options) as reader:
            return [decode_outcome(record) for record in reader.read(topics.OUTCOMES)]

    def ended(self) -> bool:
        """Whether each message has its end."""
        finals = {each.message_id for each in self.outcomes() if each.status in (Status.SENT, Status.DEAD)}
        return finals >= set(self.written)

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)


DATA = json.loads(
    (Path(__file__).parents[2] / "examples/flights/templates/flight_cancelled/sample.json").read_text()
)[0]


@pytest.fixture
def fleet(
    kafka: str, redis_db: str, sandbox: SandboxAddress, topic_prefix: str, tmp_path: Path
) -> Iterator[Fleet]:
    account = {
        "vendor": "twilio",
        "account_sid": "AC" + "0" * 32,
        "auth_token": "t",
        "base_url": f"{sandbox.http}/twilio",
        "status_callback": f"{sandbox.http}/callback",
    }
    (tmp_path / "providers.yaml").write_text(yaml.safe_dump({"accounts": {"twilio": account}}))
    env = {
        **environment(),
        "TOCSIN_KAFKA": kafka,
        "TOCSIN_KAFKA_OPTIONS": "{}",
        "TOCSIN_REDIS": redis_db,
        "TOCSIN_CATALOG": str(write_catalog(tmp_path / "catalog")),
        "TOCSIN_PROVIDERS": str(tmp_path / "providers.yaml"),
        "TOCSIN_TOPIC_PREFIX": topic_prefix,
        "TOCSIN_SECRET": "elastic-elastic-elastic",
        "TOCSIN_PARTITIONS": str(PARTITIONS),
    }
    made = Fleet(tmp_path, env)
    admin = TopicAdmin(made.settings.kafka, topic_prefix)
    admin.create(TopicPlan(PARTITIONS), topics.needed(("sms", "push", "email")))
    yield made
    made.stop()


@pytest.mark.laws
@pytest.mark.integration
@pytest.mark.timeout(300)
def test_processes_join_and_die_and_each_message_is_sent_once_in_order(
    fleet: Fleet, sandbox: SandboxAddress
) -> None:
    fleet.start("a")
    fleet.start("b")
    until(lambda: fleet.shares_all("a", "b"), within_s=PATIENCE_S)
    fleet.write(200)
    fleet.start("c")
    fleet.write(200)
    until(lambda: fleet.shares_all("a", "b", "c"), within_s=PATIENCE_S)
    fleet.write(200)
    os.kill(fleet.processes["a"].pid, signal.SIGKILL)
    fleet.write(200)
    until(lambda: fleet.shares_all("b", "c"), within_s=PATIENCE_S)
    until(fleet.ended, within_s=PATIENCE_S)
    outcomes = fleet.outcomes()
    sent = {each.message_id for each in outcomes if each.status == Status.SENT}
    unknown = {each.message_id for each in outcomes if each.reason == Reason.UNKNOWN}
    assert sent | unknown == set(fleet.written)
    taken = _taken(sandbox, set(fleet.written))
    assert Counter(taken).total() == len(set(taken)), "no message is sent twice: the policy is to drop"
    assert sent <= set(taken)
    places = {name: place for place, name in enumerate(fleet.written)}
    orders: defaultdict[int, list[int]] = defaultdict(list)
    for name in taken:
        orders[places[name] % USERS].append(places[name])
    assert all(order == sorted(order) for order in orders.values())


def _taken(sandbox: SandboxAddress, mine: set[str]) -> list[str]:
    """List what the provider took, in its order."""
    found: list[str] = []
    before = 0
    while True:
        page = httpx2.get(f"{sandbox.http}/sent", params={"limit": 1000, "before": before}).json()
        found += [each["message_id"] for each in page["messages"] if each["message_id"] in mine]
        if page["before"] is None:
            return found[::-1]
        before = page["before"]


@pytest.mark.integration
def test_without_its_topics_it_does_not_wait_for_ever(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    env = {"TOCSIN_KAFKA": kafka, "TOCSIN_TOPIC_PREFIX": topic_prefix, "TOCSIN_STATE_DIR": str(tmp_path)}
    elastic = ElasticDelivery(settings_from(env), (), env)
    with pytest.raises(
        SettingsError, match=f"topics are missing: {topic_prefix}outcomes; run `tocsin topics"
    ):
        elastic.run()


def test_chosen_partitions_have_a_state_of_their_own_and_stay_below_the_count() -> None:
    plan = ShardPlan(2, 1, "deliver", ("sms",), (), (0, 3, 9))
    assert (plan.name, plan.partitions(8), plan.state_share) == ("deliver-sms-elastic-2", (0, 3), (0, 1))
    fixed = ShardPlan(2, 3, "deliver")
    assert (fixed.name, fixed.partitions(8), fixed.state_share) == ("deliver-2", (2, 5), (2, 3))


def test_processes_on_one_folder_take_different_numbers_which_come_back(tmp_path: Path) -> None:
    first, lock = free_number(tmp_path)
    second, other = free_number(tmp_path)
    os.close(lock)
    third, again = free_number(tmp_path)
    assert (first, second, third) == (0, 1, 0)
    os.close(other)
    os.close(again)


@pytest.mark.parametrize("options", [["--flow", "decide"], ["--flow", "deliver", "--shards", "2"], []])
def test_only_delivery_is_elastic_and_the_group_alone_gives_the_share(options: list[str]) -> None:
    argv = [sys.executable, "-m", "tocsin.cli.main", "run", "--elastic", *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "only for --flow deliver" in done.stderr + done.stdout
