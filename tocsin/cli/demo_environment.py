"""Builds the demo's environment: embedded servers, settings, topics, schema, accounts."""

import os
import shlex
import shutil
import socket
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
import msgspec
import yaml

from dashboards import migrate
from sources.topics import TopicAdmin, TopicPlan
from tocsin.app.examples import example_catalog
from tocsin.app.settings import Settings, environment
from tocsin.cli.output import fail
from tocsin.devkit.passengers import TENANT, Passenger
from tocsin.devkit.probes import http_answers
from tocsin.devkit.processes import Service, free_ports
from tocsin.devkit.redis_server import Fsync
from tocsin.devkit.sandbox.people import Person
from tocsin.devkit.servers import CLICKHOUSE, KAFKA, REDIS, SANDBOX, Servers

_SHARDS_MAX = 8
_SANDBOX_SID = "AC" + "0" * 32
_PEOPLE_A_CALL = 5_000
DASHBOARD = "dashboard"
_MARK = "servers/lock"  # the first file of every demo


class DemoEnvironment:
    """Starts what the demo runs on, in one folder, and removes it (or keeps it) at the end.

    What an earlier demo left in the folder is begun anew. A folder that is neither empty nor a demo's is
    refused (exit code 2) before anything in it is touched.

    Attributes:
        servers: the embedded servers.
        settings: resolved, for this process.
        env: the same as environment, for the shards.
        addresses: where people look, by name; the dashboard among them if it was asked for.
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
        self._write_accounts(found["sandbox"], found["smtp"])
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
        self.settings = settings_from(self.env)
        plan = TopicPlan(self._partitions)
        TopicAdmin(self.settings.kafka, self.settings.topic_prefix).create(plan)
        migrate.migrate(clickhouse)
        self._write_env()
        if self._dashboard:
            self.servers.add(dashboard_service(self.env))
        self.addresses = {
            **({DASHBOARD: self.servers.addresses[DASHBOARD]} if self._dashboard else {}),
            "viewer": found["sandbox"],
            "ClickHouse": clickhouse,
            "ask": f"source {os.path.relpath(self.folder / 'env')}; tocsin why --user passenger-000042",
        }

    def introduce(self, passengers: Iterable[Passenger]) -> None:
        """Tell the sandbox who is who, so that its viewer shows people instead of addresses and tokens."""
        rest = iter(passengers)
        with httpx2.Client(base_url=self.addresses["viewer"], timeout=30, trust_env=False) as sandbox:
            while people := list(map(_person, islice(rest, _PEOPLE_A_CALL))):
                sandbox.put("/people", content=msgspec.json.encode(people)).raise_for_status()

    def _write_env(self) -> None:
        """Write the settings for another terminal: `source .tocsin/demo/env`."""
        mine = {name: value for name, value in sorted(self.env.items()) if name.startswith("TOCSIN_")}
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in mine.items()]
        (self.folder / "env").write_text("".join(lines))

    def _write_accounts(self, sandbox: str, smtp: str) -> None:
        host, _, port = smtp.rpartition(":")
        accounts = {
            "smtp": {"vendor": "smtp", "host": host, "port": int(port), "security": "plain"},
            "sendgrid": {"vendor": "sendgrid", "api_key": "SG.demo", "base_url": f"{sandbox}/sendgrid"},
            "twilio": {
                "vendor": "twilio",
                "account_sid": _SANDBOX_SID,
                "auth_token": "demo",
                "base_url": f"{sandbox}/twilio",
                "status_callback": f"{sandbox}/callback",
            },
            "fcm": {
                "vendor": "fcm",
                "credentials_file": str(self.folder / "servers/sandbox/fcm-service-account.json"),
                "base_url": f"{sandbox}/fcm",
                "token_url": f"{sandbox}/fcm/token",
            },
            "inapp": {"vendor": "inapp"},
        }
        (self.folder / "providers.yaml").write_text(yaml.safe_dump({"accounts": accounts}))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.servers.stop()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def dashboard_service(env: Mapping[str, str]) -> Service:
    """Describe the dashboard over the demo's ClickHouse."""
    (port,) = free_ports(1)
    return Service(
        name=DASHBOARD,
        argv=(sys.executable, "-m", "tocsin.cli.main", DASHBOARD, f"--port={port}"),
        ready=lambda: http_answers(port, "/healthz"),
        addresses={DASHBOARD: f"http://127.0.0.1:{port}/"},
        env=env,
    )


def refuse_foreign(folder: Path) -> None:
    """End (exit code 2) if a folder is neither empty nor a demo's: the demo removes and overwrites in it."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        fail(f"--keep: {folder} has files that are not the demo's; name a new or empty folder", code=2)


def _person(passenger: Passenger) -> Person:
    profile = passenger.profile
    addresses = (profile.email, profile.phone, *[device.token for device in profile.devices])
    return Person(
        user=f"{TENANT}/{passenger.user}",
        name=f"{passenger.first_name} {passenger.last_name}",
        addresses=tuple(filter(None, addresses)),
    )


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


class _Sent(msgspec.Struct):
    message_id: str = ""


def sends(folder: Path) -> Counter[str]:
    """Count the provider calls that the sandbox accepted, by message id (law 5).

    A line that a kill of the sandbox tore is of a call that it never answered nor processed further.
    """
    lines = (folder / "sent.jsonl").read_bytes().splitlines() if (folder / "sent.jsonl").exists() else []
    counted = Counter(map(_message_id, lines))
    counted.pop("", None)
    return counted


def _message_id(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=_Sent).message_id
    except msgspec.DecodeError:
        return ""


def settings_from(env: Mapping[str, str]) -> Settings:
    """Resolve settings from a mapping instead of this process's environment."""
    fields = {
        name.removeprefix("TOCSIN_").lower(): value
        for name, value in env.items()
        if name.startswith("TOCSIN_")
    }
    known = {name: value for name, value in fields.items() if name in Settings.model_fields}
    return Settings.model_validate(known)
