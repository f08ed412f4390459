"""One run of a build of Tocsin, with topics, state and settings of its own.

Nothing of a build is used but its command line, its settings and its topics, so that one bench drives builds
whose insides differ.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from bench.peers.environments import Build, run
from bench.peers.kafka import Record
from bench.peers.laboratory import Laboratory
from bench.peers.workload import TENANT, profiles
from tocsin.devkit.processes import Child

_CATALOGS = Path(__file__).parent / "catalogs"
_NOBODY = "http://127.0.0.1:9"


class Product:
    """A build at work; its topics are removed at the end.

    Args:
        laboratory: broker and Redis.
        build: which code.
        partitions: of every topic.
        catalog: name of its folder in `catalogs/`.
        provider: address of the SMS provider.
        settings: further settings, without `TOCSIN_`.
    """

    def __init__(
        self,
        laboratory: Laboratory,
        build: Build,
        *,
        partitions: int,
        catalog: str = "job",
        provider: str = _NOBODY,
        **settings: str,
    ) -> None:
        self.build = build
        self._laboratory = laboratory
        folder = laboratory.new_folder(build.name)
        self._prefix = f"{folder.name}."
        self._env = {
            "PYTHONPATH": str(build.root),
            "TOCSIN_KAFKA": laboratory.topics.bootstrap,
            "TOCSIN_REDIS": laboratory.redis,
            "TOCSIN_CATALOG": str(_CATALOGS / catalog),
            "TOCSIN_PROVIDERS": str(_accounts(folder, provider)),
            "TOCSIN_SECRET": "bench-bench-bench-bench",
            "TOCSIN_TOPIC_PREFIX": self._prefix,
            "TOCSIN_STATE_DIR": str(folder / "state"),
            "TOCSIN_PARTITIONS": str(partitions),
            **{f"TOCSIN_{name.upper()}": value for name, value in settings.items()},
        }

    def __enter__(self) -> "Product":
        self.command("topics", "create")
        return self

    def __exit__(self, *_: object) -> None:
        topics = self._laboratory.topics
        topics.remove(topics.with_prefix(self._prefix))

    def command(self, *arguments: str) -> None:
        """Run a command to its end."""
        run([*self.build.argv(*arguments)], f"tocsin {' '.join(arguments)}", env={**os.environ, **self._env})

    @contextmanager
    def running(self, *arguments: str) -> Iterator[list[Child]]:
        """Run the flow while the block lasts."""
        command = self.build.argv("run", *arguments)
        root = self.build.root
        with self._laboratory.running(self.build.name, command, root=root, env=self._env) as children:
            yield children

    def topic(self, name: str) -> str:
        """Give a topic's full name."""
        return self._prefix + name

    def load(self, name: str, records: Iterable[Record]) -> None:
        """Write records to a topic."""
        self._laboratory.topics.fill(self.topic(name), records)

    def load_profiles(self, users: int) -> None:
        """Write the profiles of the peers' job."""
        self.load(
            "profiles",
            (Record(key(user), json.dumps(profile).encode()) for user, profile in profiles(users)),
        )

    def load_events(self, events: Iterable[Record]) -> None:
        """Write events of the peers' job, whose keys are users."""
        self.load("events", (each._replace(key=key(each.key)) for each in events))

    def outcomes(self) -> Counter[str]:
        """Count the outcomes by status and reason."""
        read = map(json.loads, self._laboratory.topics.values(self.topic("outcomes")))
        return Counter(" ".join(filter(None, (one["status"], one.get("reason")))) for one in read)


def key(user: str) -> str:
    """Give the key of a user's records."""
    return f"{TENANT}/{user}"


def late_flight(number: int, user: str) -> Record:
    """Make an event that becomes one text message, with its number in the text."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    event = {
        "specversion": "1.0",
        "id": str(number),
        "source": "/bench",
        "type": "flight.late",
        "subject": user,
        "tenant": TENANT,
        "time": now,
        "data": {"name": "Ann", "flight": "UA1545", "delay": 35, "gate": "C7", "number": number},
    }
    return Record(user, json.dumps(event).encode())


def _accounts(folder: Path, provider: str) -> Path:
    account = {
        "vendor": "twilio",
        "account_sid": "AC" + "0" * 32,
        "auth_token": "bench",
        "base_url": provider,
    }
    file = folder / "providers.yaml"
    file.write_text(yaml.safe_dump({"accounts": {"twilio": account}}))
    return file
