"""Builds the demo's environment: embedded servers, settings, topics, schema, accounts."""

import asyncio
import os
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2
import msgspec

from dashboards import migrate
from flows.channels import used_channels
from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings, environment
from tocsin.cli.demo_accounts import write_accounts
from tocsin.cli.demo_services import DASHBOARD, GATEWAY, dashboard_service, gateway_service
from tocsin.cli.output import fail
from tocsin.delivery.redis_client import open_client
from tocsin.devkit.passengers import TENANT, Passenger
from tocsin.devkit.probes import http_answers
from tocsin.devkit.processes import free_ports
from tocsin.devkit.redis_server import Fsync
from tocsin.devkit.sandbox.people import Person
from tocsin.devkit.servers import CLICKHOUSE, KAFKA, REDIS, SANDBOX, Servers
from tocsin.gateway.key_admin import KeyAdmin
from tocsin.gateway.key_store import KeyStore
from tocsin.model import topics
from tocsin.model.profile import Device

_SHARDS_MAX = 8
_PEOPLE_A_CALL = 5_000
KEY = "TOCSIN_KEY"
"""Variable with the API key of the demo's gateway, in the file `env`."""
_USER = "passenger-000042"
_MARK = "servers/lock"  # the first file of every demo


class DemoEnvironment:
    """Starts what the demo runs on, in one folder, and removes it (or keeps it) at the end.

    What an earlier demo left in the folder is begun anew. A folder that is neither empty nor a demo's is
    refused (exit code 2) before anything in it is touched.

    Attributes:
        servers: the embedded servers.
        settings: resolved, for this process.
        env: the same as environment, for the shards.
        addresses: where people look, by name; dashboard and gateway among them if they were asked for.
    """

    def __init__(
        self,
        folder: Path,
        *,
        partitions: int,
        keep: bool,
        broker: str = KAFKA,
        redis_fsync: Fsync = "everysec",
        sandbox_latency_ms: int = 0,
        dashboard: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self._partitions = partitions
        self._keep = keep
        self._dashboard = dashboard
        self.servers = Servers(
            self.folder / "servers",
            {broker, REDIS, CLICKHOUSE, SANDBOX},
            redis_fsync=redis_fsync,
            sandbox_latency_ms=sandbox_latency_ms,
            fresh=True,
        )
        self.env: dict[str, str] = {}
        self.addresses: dict[str, str] = {}

    def __enter__(self) -> Self:
        refuse_foreign(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.servers.start()
        shutil.rmtree(self.folder / "state", ignore_errors=True)
        try:
            self._prepare()
        except BaseException:
            self.servers.stop()
            raise
        return self

    def _prepare(self) -> None:
        found = self.servers.addresses
        clickhouse = self.servers.settings["TOCSIN_CLICKHOUSE"].rsplit("/", 1)[0] + "/tocsin"
        write_accounts(self.folder, found["sandbox"], found["smtp"])
        self.env = {
            **environment(),
            **self.servers.settings,
            "TOCSIN_CLICKHOUSE": clickhouse,
            "TOCSIN_KAFKA_OPTIONS": "{}",  # what the visitor's own brokers want is nothing to this one
            "TOCSIN_CATALOG": str(example_catalog()),
            "TOCSIN_PROVIDERS": str(self.folder / "providers.yaml"),
            "TOCSIN_STATE_DIR": str(self.folder / "state"),
            "TOCSIN_SECRET": "demo-demo-demo-demo",
            "TOCSIN_CLOCK": "stream",
            "TOCSIN_PARTITIONS": str(self._partitions),
            "TOCSIN_IN_FLIGHT": "64",  # one sandbox on the same cores answers all channels
            "TOCSIN_HTTP_PORT": str(free_row(_SHARDS_MAX)),
        }
        if self._dashboard:
            (port,) = free_ports(1)
            self.env |= {
                "TOCSIN_GATEWAY_URL": f"http://127.0.0.1:{port}",
                "TOCSIN_GATEWAY_EXAMPLE": "true",
            }
        self.settings = settings_from(self.env)
        plan = TopicPlan(self._partitions)
        wanted = topics.needed(used_channels(self.settings))
        TopicAdmin(self.settings.kafka, self.settings.topic_prefix).create(plan, wanted)
        migrate.migrate(clickhouse)
        key = demo_key(self.settings) if self._dashboard else ""
        self._write_env(key)
        if self._dashboard:
            self.servers.add(dashboard_service(self.env))
        self.addresses = {
            **(self._pages() if self._dashboard else {}),
            "viewer": found["sandbox"],
            "ask": f"source {os.path.relpath(self.folder / 'env')}; tocsin why --user {_USER}",
        }

    def _pages(self) -> dict[str, str]:
        gateway = self.settings.gateway_url
        return {
            DASHBOARD: self.servers.addresses[DASHBOARD],
            GATEWAY: f"{gateway}/openapi.json",
            "inbox": f"{gateway}/inbox/example",
            "preferences": f"{gateway}/example/preferences?user={_USER}",
        }

    def start_gateway(self) -> None:
        """Start the gateway, and do not wait for it: what plays needs it not."""
        if self._dashboard:
            self.servers.launch(gateway_service(self.env))

    def answers(self) -> bool:
        """Return whether all addresses answer: the gateway starts beside what is played."""
        port = urlsplit(self.settings.gateway_url).port or 0
        return not self._dashboard or http_answers(port, "/livez")

    def introduce(self, passengers: Iterable[Passenger]) -> None:
        """Tell the sandbox who is who, so that its viewer shows people instead of addresses and tokens."""
        rest = iter(passengers)
        with httpx2.Client(base_url=self.addresses["viewer"], timeout=30, trust_env=False) as sandbox:
            while people := list(map(_person, islice(rest, _PEOPLE_A_CALL))):
                sandbox.put("/people", content=msgspec.json.encode(people)).raise_for_status()

    @property
    def push_service(self) -> str:
        """Return the address of the sandbox's push service, where passengers have browsers."""
        return f"{self.addresses['viewer']}/webpush"

    def _write_env(self, key: str) -> None:
        """Write the settings for another terminal, and where `tocsin` is: `source .tocsin/demo/env`."""
        mine = {name: value for name, value in sorted(self.env.items()) if name.startswith("TOCSIN_")}
        mine |= {KEY: key} if key else {}
        (self.folder / "env").write_text(exports(mine))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.servers.stop()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def exports(values: Mapping[str, str]) -> str:
    """Write values for a shell to source, and the folder of `tocsin` for its path."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]
    return "".join([*lines, f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n'])


def demo_key(settings: Settings) -> str:
    """Make an API key of the demo's tenant, with all scopes."""

    async def make() -> str:
        client = open_client(settings.redis)
        try:
            admin = KeyAdmin(KeyStore(client, settings.topic_prefix), settings.secret_bytes())
            now_ms = time.time_ns() // 1_000_000
            return (await admin.create(TENANT, (), now_ms, name="demo")).secret
        finally:
            await client.aclose()

    return asyncio.run(make())


def refuse_foreign(folder: Path) -> None:
    """End (exit code 2) if a folder is neither empty nor a demo's: the demo removes and overwrites in it."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        fail(f"--keep: {folder} has files that are not the demo's; name a new or empty folder", code=2)


def _person(passenger: Passenger) -> Person:
    profile = passenger.profile
    devices = [device.token or _browser(device) for device in profile.devices]
    addresses = (profile.email, profile.phone, *devices)
    return Person(
        user=f"{TENANT}/{passenger.user}",
        name=f"{passenger.first_name} {passenger.last_name}",
        addresses=tuple(filter(None, addresses)),
    )


def _browser(device: Device) -> str:
    return (device.subscription or {}).get("endpoint", "").rpartition("/")[2]


def free_row(length: int) -> int:
    """Find the first of `length` free ports in a row."""
    while True:
        first = free_ports(1)[0]
        if all(_is_free(first + offset) for offset in range(1, length)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def settings_from(env: Mapping[str, str]) -> Settings:
    """Resolve settings from a mapping instead of this process's environment."""
    fields = {
        name.removeprefix("TOCSIN_").lower(): value
        for name, value in env.items()
        if name.startswith("TOCSIN_")
    }
    known = {name: value for name, value in fields.items() if name in Settings.model_fields}
    return Settings.model_validate(known)
