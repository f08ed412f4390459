"""Settings: what is wrong is refused with its cure before anything is made from it, and no value is shown."""

import json

import pytest
from pydantic import ValidationError

from tocsin.app.settings import Settings


def refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    """Give what is said of a variable, which must be all that is wrong."""
    monkeypatch.setenv(f"TOCSIN_{name}", value)
    with pytest.raises(ValidationError) as wrong:
        Settings()
    (problem,) = wrong.value.errors()
    assert problem["loc"] == (name.lower(),)
    assert "hidden" not in str(wrong.value)
    return str(problem["msg"])


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        ("{hidden", "JSON object"),
        ('["hidden"]', "JSON object"),
        ('{"socket.timeout.ms": 5000, "sasl.password": "hidden"}', "texts"),
        ('{"sasl.mechanismx": "hidden"}', "sasl.mechanismx"),
        ('{"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN"}', "sasl.password must be set"),
        ('{"socket.timeout.ms": "soon"}', "socket.timeout.ms"),
    ],
)
def test_options_that_librdkafka_does_not_take(
    monkeypatch: pytest.MonkeyPatch, value: str, cure: str
) -> None:
    assert cure in refused(monkeypatch, "KAFKA_OPTIONS", value)


def test_options_are_read_from_the_environment_and_from_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"client.id": "tocsin", "security.protocol": "plaintext"}
    assert Settings.model_validate({"kafka_options": json.dumps(options)}).kafka_options == options
    monkeypatch.setenv("TOCSIN_KAFKA_OPTIONS", json.dumps(options))
    assert Settings().kafka_options == options


def test_domains_beyond_ascii_are_read_as_dns_writes_them() -> None:
    settings = Settings.model_validate(
        {
            "redis": "rediss://ada:pß@cache.straße.example:6380/1",
            "clickhouse": "https://ada:pß@straße.example/tocsin",
            "schema_registry": "https://straße.example:8081, http://b.example",
            "kafka": "b1.straße.example:9092, b2.example:9092,[2001:db8::1]:9092,straße.example",
        }
    )
    assert settings.redis == "rediss://ada:pß@cache.xn--strae-oqa.example:6380/1"
    assert settings.clickhouse == "https://ada:pß@xn--strae-oqa.example/tocsin"
    assert settings.schema_registry == "https://xn--strae-oqa.example:8081,http://b.example"
    brokers = "b1.xn--strae-oqa.example:9092,b2.example:9092,[2001:db8::1]:9092,xn--strae-oqa.example"
    assert settings.kafka == brokers


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("REDIS", "foo", "redis://"),
        ("REDIS", "redis:6379", "redis://"),
        ("REDIS", "redis://:hidden@127.0.0.1:99999/0", "redis://"),
        ("CLICKHOUSE", "127.0.0.1:8123", "http(s)://"),
        ("CLICKHOUSE", "http://default:hidden@127.0.0.1:99999/tocsin", "http(s)://"),
        ("CLICKHOUSE", "http://[::1/tocsin", "http(s)://"),
        ("HTTP_PORT", "70000", "65535"),
        ("HTTP_PORT", "-1", "0"),
    ],
)
def test_addresses_and_ports_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, cure: str
) -> None:
    assert cure in refused(monkeypatch, name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis", "rediss://user:pass@redis.example:6380/1"),
        ("redis", "unix:///run/redis.sock"),
        ("redis", "redis://localhost"),
        ("clickhouse", "https://clickhouse.example/tocsin"),
        ("http_port", 65_535),
    ],
)
def test_addresses_and_ports_that_can_be(name: str, value: str | int) -> None:
    assert getattr(Settings.model_validate({name: value}), name) == value


def test_the_old_name_of_a_setting_is_refused_and_names_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_LANES", "16")
    with pytest.raises(ValidationError) as wrong:
        Settings()
    (problem,) = wrong.value.errors()
    assert problem["loc"] == ("key_groups",)
    assert "was TOCSIN_LANES before: rename that variable" in problem["msg"]


@pytest.mark.parametrize(
    "value", ["notify.example.com", "ftp://x", "https://x/?a=1", "https://a@x", "https://"]
)
def test_links_begin_with_an_absolute_address(value: str) -> None:
    with pytest.raises(ValidationError, match="must be an absolute http"):
        Settings(gateway_url=value)


def test_the_gateways_address_ends_without_a_slash() -> None:
    assert Settings(gateway_url="https://notify.example.com/t/").gateway_url == "https://notify.example.com/t"


def test_origins_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_GATEWAY_ORIGINS", "https://shop.example.com, http://127.0.0.1:8000")
    assert Settings().gateway_origins == ("https://shop.example.com", "http://127.0.0.1:8000")
    with pytest.raises(ValidationError, match="entry 2 must be an origin"):
        Settings(gateway_origins="https://a.example, https://b.example/path")
