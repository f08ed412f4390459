"""Settings, resolved once at the edge. Only this module and `tocsin.app.addresses` read the environment.

Every field is the environment variable `TOCSIN_<NAME>`. `python -m tocsin.app.settings` prints the table in
the README.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tocsin.app import addresses
from tocsin.errors import SettingsError
from tocsin.model.domains import ascii_host, ascii_url
from tocsin.model.unanswered import OnUnknown

_SECRET_BYTES = 16
_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")
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
    clickhouse: str = Field(addresses.CLICKHOUSE, description="ClickHouse HTTP URL with user and database")
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
    in_flight: int = Field(1_024, ge=1, description="most provider calls in flight, a channel and process")
    ledger_ttl_s: int = Field(3 * 86_400, description="how long the send ledger remembers a message")
    on_unknown: OnUnknown = Field(
        "resend",
        description="a call without an answer: `resend` and say so, `drop` as dead, `ask` the provider first,"
        " or `ask_or_drop`",
    )
    without_redis: Literal["wait", "send"] = Field(
        "wait", description="Redis away: hold messages, or send without the ledger"
    )
    attachment_hosts: str = Field(
        "",
        description="hosts of your own network, with commas between them, that attachments of mails may be"
        " fetched from, also by plain HTTP; all others must be public and speak HTTPS",
    )
    accept_bad: bool = Field(False, description="start partitions again that too many bad records had paused")
    dashboard_token: SecretStr = Field(
        SecretStr(""),
        description="16 characters or more: whoever shows it may read the pages of `tocsin dashboard`",
    )
    gateway_url: str = Field(
        "",
        description="public base URL of `tocsin gateway`, which begins every link to it:"
        " https://notify.example.com",
    )
    gateway_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="origins whose pages may call the gateway (CORS), separated by commas:"
        " https://shop.example.com; none by default",
    )
    gateway_example: bool = Field(
        False,
        description="serve `/inbox/example`, where anybody sees any inbox: for demos and development only",
    )
    gateway_per_s: float = Field(
        1_000, ge=0, description="requests a second of an API key that has no rate of its own; 0: no limit"
    )
    gateway_connections: int = Field(
        4_096, ge=1, description="connections of a gateway process at once; one more gets 503"
    )
    gateway_body_bytes: int = Field(
        268_435_456,
        ge=16_777_216,
        description="bytes of bodies over 64 KiB that a gateway process holds at once; more get 503",
    )
    webhooks_private: bool = Field(
        False,
        description="post delivery reports to http:// URLs and private addresses, too: only where every"
        " tenant may reach them",
    )
    http_host: str = Field("127.0.0.1", description="address of /healthz and /metrics")
    http_port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="first port of /healthz and /metrics (shard i takes port + i); 0 for a free one",
    )

    def attachment_host_names(self) -> frozenset[str]:
        """Return the hosts of the own network that attachments may be fetched from."""
        names = [each.strip().lower() for each in self.attachment_hosts.split(",")]
        return frozenset(filter(None, names))

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

    @field_validator("gateway_url")
    @classmethod
    def _base(cls, value: str) -> str:
        """Take an absolute address without query, and end it without a slash: paths are appended."""
        if value and not is_base_url(value):
            msg = "must be an absolute http(s) URL without query, such as https://notify.example.com"
            raise ValueError(msg)
        return ascii_url(value).rstrip("/") if value else ""

    @field_validator("gateway_origins", mode="before")
    @classmethod
    def _origins(cls, value: Any) -> Any:
        found = [each.strip() for each in value.split(",")] if isinstance(value, str) else list(value)
        found = [each for each in found if each]
        if wrong := [each for each in found if not _ORIGIN.fullmatch(each)]:
            msg = f"entry {found.index(wrong[0]) + 1} must be an origin, such as https://shop.example.com"
            raise ValueError(msg)
        return tuple(found)

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
        """Ask librdkafka, which alone knows its options; it is loaded only if there are any."""
        if value:
            _check_options(value)
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


def _check_options(options: Mapping[str, str]) -> None:
    """Give options to a client of Kafka that has no server to connect to.

    Raises:
        ValueError: it does not take one of them.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from sources.reader import silent_logger

    try:
        AdminClient({**options, "bootstrap.servers": ""}, logger=silent_logger())
    except KafkaException as failure:
        msg = f"{failure.args[0].str()}; correct or remove that option"
        raise ValueError(msg) from None


def is_base_url(text: str) -> bool:
    """Tell whether paths can be appended to an address.

    >>> is_base_url("https://notify.example.com/t"), is_base_url("notify.example.com")
    (True, False)
    """
    try:
        parts = urlsplit(text)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return fits and not parts.query and not parts.fragment and "@" not in parts.netloc


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
