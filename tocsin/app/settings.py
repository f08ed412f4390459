"""Settings, resolved once at the edge. The only module that reads the environment.

Every field is the environment variable `TOCSIN_<NAME>`. `python -m tocsin.app.settings` prints the table in
the README.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sources.reader import silent_logger
from tocsin.errors import SettingsError
from tocsin.model.domains import ascii_host, ascii_url

_SECRET_BYTES = 16
_URLS = {
    "redis": (("redis://", "rediss://", "unix://"), "redis://user:password@host:port/number"),
    "clickhouse": (("http://", "https://"), "http(s)://user:password@host:port/database"),
}
_RENAMED = {"key_groups": "TOCSIN_LANES"}
_OPTIONS = '{"security.protocol": "SASL_SSL"}'


class Settings(BaseSettings):
    """The settings of a Tocsin process, frozen.

    Raises:
        pydantic.ValidationError: names every wrong variable and its cure; shows no value.
    """

    model_config = SettingsConfigDict(
        env_prefix="TOCSIN_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    kafka: str = Field("127.0.0.1:9092", description="Kafka bootstrap servers")
    kafka_options: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, description="further librdkafka options as JSON (SASL, TLS)"
    )
    redis: str = Field(
        "redis://127.0.0.1:6379/0", description="Redis URL (AOF on, maxmemory-policy noeviction)"
    )
    clickhouse: str = Field(
        "http://default:@127.0.0.1:8123/tocsin", description="ClickHouse HTTP URL with user and database"
    )
    catalog: Path = Field(Path("catalog"), description="folder of notifications, tenants and templates")
    schema_registry: str = Field(
        "", description="URL of the schema registry, for topics declared with `format: registry`"
    )
    schema_registry_options: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        repr=False,
        description="further options of confluent-kafka's registry client as JSON (authentication, TLS)",
    )
    providers: Path = Field(Path("providers.yaml"), description="file of provider accounts")
    secret: SecretStr = Field(
        SecretStr(""),
        description="16 characters or more, the same everywhere: seals unsubscribe links",
    )
    topic_prefix: str = Field("tocsin.", description="prefix of every topic")
    state_dir: Path = Field(
        Path(".tocsin/state"), description="where shards keep their state; one folder each"
    )
    partitions: int = Field(16, ge=1, le=1024, description="partitions of keyed topics, fixed at creation")
    replication: int = Field(
        -1, description="replicas of each partition at creation; -1: the broker's default"
    )
    key_groups: int = Field(
        8,
        ge=1,
        le=256,
        validate_default=True,
        description="key groups of each partition, fixed for the life of the state",
    )
    epoch_ms: int = Field(
        50, ge=10, le=10_000, description="epoch: how often decisions become durable and visible"
    )
    fan_out_per_epoch: int = Field(
        2_000, ge=1, description="subscriptions to topics that a shard passes in an epoch, at most"
    )
    cache_users: int = Field(100_000, ge=100, description="users a shard keeps decoded in memory")
    clock: Literal["wall", "stream"] = Field(
        "wall", description="what moves time: Kafka timestamps and the wall, or only the events' own time"
    )
    max_record_bytes: int = Field(256 * 1024, ge=1024, description="larger events are dead-lettered")
    max_past_s: int = Field(
        7 * 86_400, description="events older than this are dead-lettered (wall clock only)"
    )
    max_future_s: int = Field(
        3_600, description="events further ahead than this are dead-lettered (wall clock only)"
    )
    dedup_window_s: int = Field(
        86_400,
        description="events of one source + id are one if their times differ by less, however late they come",
    )
    profile_wait_s: float = Field(10.0, description="how long an event waits for its user's profile")
    bad_run: int = Field(1_000, description="undecodable records in a row that pause a partition")
    bad_ratio: float = Field(
        0.5, description="share of undecodable records in the last 2,000 that pauses a partition"
    )
    in_flight: int = Field(256, ge=1, description="provider calls in flight, a channel and process")
    ledger_ttl_s: int = Field(3 * 86_400, description="how long the send ledger remembers a message")
    on_unknown: Literal["resend", "drop"] = Field(
        "resend", description="a send left open by a crash: send again and say so, or end it as dead"
    )
    without_redis: Literal["wait", "send"] = Field(
        "wait", description="Redis away: hold messages, or send without the ledger"
    )
    accept_bad: bool = Field(False, description="start partitions again that too many bad records had paused")
    dashboard_token: SecretStr = Field(
        SecretStr(""),
        description="16 characters or more: whoever shows it may read the pages of `tocsin dashboard`",
    )
    http_host: str = Field("127.0.0.1", description="address of /healthz and /metrics")
    http_port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="first port of /healthz and /metrics (shard i takes port + i); 0 for a free one",
    )

    def secret_bytes(self) -> bytes:
        """Return the secret.

        Raises:
            SettingsError: it is missing or too short.
        """
        secret = self.secret.get_secret_value().encode()
        if len(secret) < _SECRET_BYTES:
            msg = f"TOCSIN_SECRET: set at least {_SECRET_BYTES} characters, the same for all processes"
            raise SettingsError(msg)
        return secret

    @field_validator(*_RENAMED, mode="before")
    @classmethod
    def _renamed(cls, value: Any, field: ValidationInfo) -> Any:
        name = str(field.field_name)
        if (old := _RENAMED[name]) in os.environ:
            msg = f"was {old} before: rename that variable, its value stays the same"
            raise ValueError(msg)
        return value

    @field_validator("topic_prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if "/" in value:
            msg = "must not contain '/'"
            raise ValueError(msg)
        return value

    @field_validator("kafka_options", "schema_registry_options", mode="before")
    @classmethod
    def _parsed(cls, value: Any) -> Any:
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
            msg = f"must be a JSON object whose values are texts, such as {_OPTIONS}"
            raise ValueError(msg)
        return found

    @field_validator("kafka_options")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        """Ask librdkafka, which alone knows its options, with a client that has no server to connect to."""
        try:
            if value:
                AdminClient({**value, "bootstrap.servers": ""}, logger=silent_logger())
        except KafkaException as failure:
            msg = f"{failure.args[0].str()}; correct or remove that option"
            raise ValueError(msg) from None
        return value

    @field_validator("redis", "clickhouse")
    @classmethod
    def _url(cls, value: str, field: ValidationInfo) -> str:
        beginnings, form = _URLS[str(field.field_name)]
        try:
            fits = value.startswith(beginnings) and urlsplit(value).port != 0
        except ValueError:  # a port that is no number, or beyond 65,535
            fits = False
        if not fits:
            msg = f"must be {form}"
            raise ValueError(msg)
        return ascii_url(value)

    @field_validator("schema_registry")
    @classmethod
    def _registries(cls, value: str) -> str:
        """Write the hosts of a registry's addresses as DNS does: its client would ask for another domain."""
        return ",".join([ascii_url(each.strip()) for each in value.split(",")])

    @field_validator("kafka")
    @classmethod
    def _brokers(cls, value: str) -> str:
        """Write brokers' names as DNS does: librdkafka sends them as they are."""
        return ",".join([ascii_broker(each) for each in value.split(",")])


def ascii_broker(server: str) -> str:
    """Write the host of `host:port` in ASCII."""
    host, colon, port = server.strip().rpartition(":")
    return f"{ascii_host(host)}:{port}" if colon else ascii_host(port)


def sentences(error: ValidationError) -> list[str]:
    """List what is wrong with the settings, one sentence for each variable; no value is shown."""
    return [
        f"TOCSIN_{'_'.join(map(str, wrong['loc'])).upper()}: {wrong['msg'].removeprefix('Value error, ')}"
        for wrong in error.errors()
    ]


def environment() -> Mapping[str, str]:
    """Return the environment, for variables in `providers.yaml` and for the supervisor's."""
    return os.environ


def markdown_table() -> str:
    """Build the settings table of the README."""
    rows = ["| setting | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        rows.append(f"| `TOCSIN_{name.upper()}` | `{default}` | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown_table())  # noqa: T201
