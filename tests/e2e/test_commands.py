"""The commands as a person uses them, one after another, on one demo."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from sources.reader import TopicReader
from tests.e2e.producing import Producer, example
from tests.waiting import PATIENCE_S, until
from tocsin.cli.demo_environment import DemoEnvironment
from tocsin.cli.main import main
from tocsin.cli.send import write
from tocsin.devkit.probes import http_answers
from tocsin.model import topics

ROOT = Path(__file__).parent.parent.parent
PROFILE = {
    "email": "ann@mail.example",
    "phone": "+12125550177",
    "locale": "en",
    "timezone": "America/New_York",
    "devices": [{"platform": "android", "token": "token-of-ann", "app": "skylark"}],
    "version": 1,
}
DATA = json.loads((ROOT / "examples/flights/templates/flight_landed/sample.json").read_text())[0]
LATER = """\
gate_closing:
  on: {type: gate.closing}
  category: service
  priority: critical
  channels: [inapp]
  template: flight_cancelled
  escalate: [{after: 1h, unless: read, channels: [sms]}]
last_call:
  on: {type: last.call}
  category: service
  priority: critical
  channels: [inapp]
  template: flight_cancelled
  escalate: [{after: 1s, unless: read, channels: [sms]}]
gate_moved:
  on: {type: gate.moved}
  category: service
  channels: [inapp, push]
  template: gate_moved
boarding:
  on: {type: boarding.started}
  category: service
  channels: [inapp]
"""
"""Notifications with a later step, and with a template of their own, beside those of the example."""
# Servers of its own whatever is named: nothing for the second pass on Apache Kafka.
pytestmark = [pytest.mark.loopback, pytest.mark.timeout(240)]


class Terminal:
    """A shell with the demo's settings."""

    def __init__(self, demo: DemoEnvironment, catalog: Path) -> None:
        self.settings = demo.settings
        own = {"TOCSIN_CLOCK": "wall", "TOCSIN_PROFILE_WAIT_S": "1", "TOCSIN_CATALOG": str(catalog)}
        self.env = demo.env | own

    def start(self, *words: str, **more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tocsin.cli.main", *words]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=self.env | more, stdout=pipe, stderr=pipe, text=True)

    def tocsin(self, *words: str, **more: str) -> tuple[int, str, str]:
        process = self.start(*words, **more)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def statuses(self, kind: str, user: str) -> set[str]:
        """Send an event and tell the statuses that it has a second later."""
        _, sent, _ = self.tocsin("send", kind, "--user", user, "--data", json.dumps(DATA), "--json")
        time.sleep(1)
        code, out, _ = self.tocsin("why", json.loads(sent)["id"], "--json")
        return {str(step["status"]) for step in steps(out)} if code == 0 else set()

    def why(self, subject: str, *statuses: str, tenant: str = "default") -> list[dict[str, object]]:
        """Ask until an outcome of each status is in ClickHouse: two threads store them, in any order."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            code, out, _ = self.tocsin("why", subject, "--tenant", tenant, "--json")
            rows = steps(out) if code == 0 else []
            if {row["status"] for row in rows} >= set(statuses):
                return rows
        pytest.fail(f"no {' and '.join(statuses)} outcomes of {subject} within {PATIENCE_S:.0f} s")


def steps(out: str) -> list[dict[str, object]]:
    """Read the outcomes of all stories of `tocsin why --json`, with the names of their notification."""
    return [
        {
            "notification_id": story["subject"],
            "notification": story["notification"],
            "variant": story["variant"],
        }
        | step
        for story in json.loads(out)["stories"]
        for step in story["steps"]
        if step["kind"] != "event"
    ]


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with DemoEnvironment(tmp_path_factory.mktemp("demo"), partitions=4, keep=True) as demo:
        catalog = two_tenants(tmp_path_factory.mktemp("catalog") / "flights")
        (catalog / "notifications" / "later.yaml").write_text(LATER)
        write_template(catalog, "{{ data.gate }}")
        shutil.copytree(catalog / "templates/gate_moved", catalog / "templates/boarding")
        yield Terminal(demo, catalog)


def write_template(catalog: Path, gate: str) -> None:
    """Write a template whose sample renders."""
    folder = catalog / "templates/gate_moved"
    (folder / "en").mkdir(parents=True, exist_ok=True)
    (folder / "sample.json").write_text('[{"gate": "A14"}]')
    (folder / "en/title.j2").write_text("Your gate")
    (folder / "en/body.j2").write_text(f"It is {gate}")


LANDED = """
  on: {{type: {type}}}
  category: flight_updates
  channels: [inapp]
  template: flight_landed
"""
ARM = "  variants: [{name: plain, weight: 0}, {name: fresh, weight: 1}]\n"


def two_tenants(folder: Path) -> Path:
    """Copy the shipped catalog, and give it a tenant `acme` whose landings have an experiment."""
    shutil.copytree(ROOT / "examples/flights", folder)
    shared = folder / "tenants/default.yaml"
    # Tests share users, and come in any order: no limit may count what another test has sent.
    shared.write_text(re.sub(r"^limits:\n(  .*\n)+", "limits: []\n", shared.read_text(), flags=re.MULTILINE))
    own = folder / "tenants/acme/notifications/own.yaml"
    own.parent.mkdir(parents=True)
    shutil.copy(shared, folder / "tenants/acme.yaml")
    own.write_text(f"flight_landed:{LANDED.format(type='flight.landed')}{ARM}")
    return folder


@pytest.fixture(scope="module")
def running(terminal: Terminal) -> Iterator["subprocess.Popen[str]"]:
    write(terminal.settings, topics.PROFILES, "default/ann", json.dumps(PROFILE).encode())
    for user in ("bob", "carl"):
        write(terminal.settings, topics.PROFILES, f"acme/{user}", json.dumps(PROFILE).encode())
    process = terminal.start("run", "--shards", "2")
    yield process
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


@pytest.fixture(scope="module")
def producer(terminal: Terminal, running: object) -> Iterator[Producer]:
    write(terminal.settings, topics.PROFILES, "default/ada", json.dumps(PROFILE).encode())
    code, made, err = terminal.tocsin("keys", "create", "--json")
    assert code == 0, err
    process = terminal.start("gateway", "--port", "0", "--json", TOCSIN_HTTP_PORT="0")
    assert process.stdout is not None
    address = json.loads(process.stdout.readline())["address"].rstrip("/")
    yield Producer(address, json.loads(made)["key"])
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_check_finds_nothing_wrong(terminal: Terminal) -> None:
    code, out, err = terminal.tocsin("check")
    assert (code, out.count("✓")) == (0, 7), out + err


def test_topics_are_created_once(terminal: Terminal) -> None:
    code, out, _ = terminal.tocsin("topics", "create")
    assert code == 0
    assert "0 created" in out


def test_one_event_by_hand_is_sent_and_told(terminal: Terminal, running: object) -> None:
    data = json.loads(json.dumps(DATA))
    data["flight"]["id"] = "a flight of which nobody else tells"
    words = ("send", "flight.landed", "--user", "ann", "--data", json.dumps(data), "--json")
    code, out, err = terminal.tocsin(*words)
    assert code == 0, err
    rows = terminal.why(json.loads(out)["id"], "admitted", "sent")
    assert {row["channel"] for row in rows if row["status"] == "sent"} == {"inapp"}


def test_a_producer_in_a_few_lines_of_python(producer: Producer) -> None:
    names: dict[str, Any] = {"httpx2": httpx2, "GATEWAY": producer.address, "KEY": producer.key}
    until(lambda: accepted(names), "an answer that is not 503")
    sent, later = names["sent"], names["later"]
    steps = producer.until(sent["event_id"], "sent")
    assert {step["channel"] for step in steps if step["status"] == "sent"} == {"inapp"}
    told = producer.until(later["notification_id"], "held", "cancelled")
    assert [step["reason"] for step in told if step["status"] in {"held", "cancelled"}] == [
        "scheduled", "cancelled_by_event"
    ]  # fmt: skip


def accepted(names: dict[str, Any]) -> bool:
    """Run the example; false where Redis was too slow for it, as a 503 asks to send it again."""
    try:
        exec(example("python"), names)
    except KeyError:
        refused = [names[name] for name in ("sent", "later") if "event_id" not in names.get(name, {})]
        assert refused[0]["status"] == 503, refused
        return False
    finally:
        names["api"].close()
    return True


def test_a_producer_in_four_lines_of_curl(producer: Producer) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    env = {"GATEWAY": producer.address, "KEY": producer.key, "PATH": os.environ["PATH"]}
    script = ["bash", "-ec", example("sh").replace("\n", "\necho\n")]
    done = subprocess.run(script, env=env, capture_output=True, text=True, check=True)
    sent, later, cancelled, _ = (json.loads(line) for line in done.stdout.split("\n") if line)
    assert (later["event_id"], len(cancelled["notifications"])) == ("boarding-1", 1)
    producer.until(sent["event_id"], "sent")
    producer.until("boarding-1", "cancelled")


def test_one_tenants_mistake_keeps_it_on_its_catalog_and_no_other(
    terminal: Terminal, running: object
) -> None:
    folder = Path(terminal.env["TOCSIN_CATALOG"])
    words = ("send", "flight.landed", "--tenant", "acme", "--data", json.dumps(DATA), "--json", "--user")
    first = json.loads(terminal.tocsin(*words, "bob")[1])["id"]
    rows = terminal.why(first, "sent", tenant="acme")
    assert {row["variant"] for row in rows} == {"fresh"}

    good = (folder / "tenants/acme.yaml").read_text()
    (folder / "tenants/acme.yaml").write_text(good + "quiet_hours: 7\n")
    added = folder / "tenants/default/notifications/own.yaml"
    added.parent.mkdir(parents=True)
    added.write_text(f"closed:{LANDED.format(type='gate.closed')}")
    until(lambda: "sent" in terminal.statuses("gate.closed", "ann"), "the new catalog of the others", 90)
    again = json.loads(terminal.tocsin(*words, "carl")[1])["id"]
    assert {row["variant"] for row in terminal.why(again, "sent", tenant="acme")} == {"fresh"}
    code, out, _ = terminal.tocsin("check", "--no-servers")
    assert code != 0
    assert "tenants/acme.yaml:" in out
    (folder / "tenants/acme.yaml").write_text(good)


def test_a_broadcast_by_hand_reaches_everyone_and_its_end_is_told(
    terminal: Terminal, running: object
) -> None:
    words = ("send", "flight.landed", "--segment", "*", "--data", json.dumps(DATA), "--id", "to-all")
    code, _, err = terminal.tocsin(*words)
    assert code == 0, err
    end = time.monotonic() + 60
    state: dict[str, object] = {}
    while state.get("state") != "finished" and time.monotonic() < end:
        code, out, err = terminal.tocsin("broadcasts", "--json")
        assert code == 0, err
        (state,) = json.loads(out) or [{}]
    assert (state["event"], state["state"]) == ("to-all", "finished")
    assert state["reached"] in (1, 2, 3), "Ann, and the users of the producer and the README if those came"


def test_the_readme_s_profile_and_event_become_a_notification(terminal: Terminal, running: object) -> None:
    section = (ROOT / "README.md").read_text().split("## Against your own servers")[1]
    _, profile, event = re.findall(r"```(?:sh|python)\n(.*?)```", section, re.DOTALL)[:3]
    subprocess.run([sys.executable, "-c", profile], env=terminal.env, check=True, timeout=60)
    shell = f'tocsin() {{ "{sys.executable}" -m tocsin.cli.main "$@"; }}\nset -e\n'
    send, why = event.split("tocsin why ")
    subprocess.run(["bash", "-c", shell + send], cwd=ROOT, env=terminal.env, check=True, timeout=60)
    rows = terminal.why(why.strip(), "sent")
    assert {row["channel"] for row in rows if row["status"] == "sent"} == {"inapp"}


def test_an_inbox_entry_that_is_read_stops_the_text_and_another_one_does_not(
    terminal: Terminal, running: object
) -> None:
    def send(kind: str) -> str:
        words = ("send", kind, "--user", "ann", "--data", json.dumps(DATA), "--json")
        return str(json.loads(terminal.tocsin(*words)[1])["id"])

    closing, last = send("gate.closing"), send("last.call")
    entry = next(row for row in terminal.why(closing, "sent") if row["status"] == "sent")
    receipt = {name: entry[name] for name in ("notification_id", "message_id", "channel", "notification")}
    receipt |= {"tenant": "default", "user": "ann", "kind": "read"}
    write(terminal.settings, topics.RECEIPTS, "default/ann", json.dumps(receipt).encode())
    rows = terminal.why(closing, "admitted", "sent", "read", "held", "cancelled")
    found = {(row["channel"], row["status"], row["reason"]) for row in rows}
    assert found == {
        ("inapp", "admitted", ""),
        ("inapp", "sent", ""),
        ("inapp", "read", ""),
        ("sms", "held", "escalation"),
        ("sms", "cancelled", "answered"),
    }
    until(lambda: ("sms", "sent") in {(row["channel"], row["status"]) for row in terminal.why(last, "sent")})


def test_a_stranger_s_event_is_dead_with_the_reason_and_can_be_read(
    terminal: Terminal, running: object
) -> None:
    _, out, _ = terminal.tocsin("send", "flight.landed", "--user", "stranger", "--json")
    rows = terminal.why(json.loads(out)["id"], "held", "dead")
    assert {row["reason"] for row in rows} == {"awaiting_profile", "unknown_user"}
    code, out, err = terminal.tocsin("tail", "dead", "--last", "5", "--no-follow", "--json")
    letters = [json.loads(line)["value"] for line in out.splitlines()]
    assert code == 0, err
    assert "unknown_user" in {letter["reason"] for letter in letters}


def test_a_fixed_template_heals_a_replay_and_each_message_is_sent_once(
    terminal: Terminal, running: object
) -> None:
    key, broken = "default/ann", [f"no-gate-{number}" for number in range(3)]
    for name in broken:
        event = {"specversion": "1.0", "id": name, "source": "/e2e", "type": "gate.moved", "subject": "ann"}
        write(terminal.settings, topics.EVENTS, key, json.dumps(event).encode())
    dead = 2 * len(broken)
    until(lambda: told(terminal, broken, "dead") == dead, "each message is dead")
    write_template(Path(terminal.env["TOCSIN_CATALOG"]), "{{ data.gate | default('not known') }}")
    until(lambda: "sent" in terminal.statuses("gate.moved", "ann"), "the new template", 90)
    asked = ("replay", "dead", "--reason", "render_error", "--notification", "gate_moved", "--json")
    code, out, err = terminal.tocsin(*asked, "--apply")
    report = json.loads(out)
    chosen = report["plan"]["chosen"]
    assert (code, report["status"], report["written"]) == (0, "done", chosen), err
    until(lambda: told(terminal, broken, "sent") == dead, "each message is sent")
    wanted = [(channel, status) for channel in ("inapp", "push") for status in ("admitted", "sent")]
    until(lambda: replayed(terminal, broken[0], report["id"]) == wanted, "ClickHouse has the replay")
    code, out, err = terminal.tocsin(*asked, "--apply")
    assert (code, json.loads(out)["plan"]["left_out"]) == (1, {"sent by an earlier replay": chosen}), err
    assert "nothing to replay" in err
    assert told(terminal, broken, "sent") == dead, "once each"
    until(lambda: terminal.tocsin("balance", "--json")[0] == 0, "the balance is zero")


def replayed(terminal: Terminal, event: str, replay: str) -> list[tuple[str, str]]:
    """Return channels and statuses of the outcomes that a replay of an event has in ClickHouse."""
    rows = [row for row in terminal.why(event, "sent") if row["replay"] == replay]
    return sorted((str(row["channel"]), str(row["status"])) for row in rows)


def told(terminal: Terminal, events: list[str], status: str) -> int:
    """Count the outcomes of a status that events have in Kafka."""
    with TopicReader(terminal.settings.kafka, terminal.settings.topic_prefix) as reader:
        found = [msgspec.json.decode(raw.value or b"{}") for raw in reader.read(topics.OUTCOMES)]
    return sum(one.get("event_id") in events and one["status"] == status for one in found)


def test_the_books_balance(terminal: Terminal, running: object) -> None:
    terminal.tocsin("send", "nobody.asks", "--user", "ann", "--id", "asked-by-nobody")
    terminal.why("asked-by-nobody", "suppressed")
    end = time.monotonic() + 60
    code, out, err = terminal.tocsin("balance", "--json")
    while code != 0 and time.monotonic() < end:  # until the group's offsets are committed
        code, out, err = terminal.tocsin("balance", "--json")
    audit = json.loads(out)
    assert (code, audit["balance_error"]) == (0, 0), out + err
    assert audit["events"] == audit["settled"] + audit["held"] + audit["in_flight"] + audit["unread"]


def test_status_says_what_waits_and_what_accounts_do(terminal: Terminal, running: object) -> None:
    port = terminal.settings.http_port
    until(lambda: all(http_answers(port + number, "/metrics") for number in (0, 1)), "the shards")
    processes = [f"http://127.0.0.1:{port + number}/metrics" for number in (0, 1)]
    found: dict[str, Any] = {}

    def looked() -> bool:
        code, out, said = terminal.tocsin("status", "--over", "1s", "--json")
        assert code == 0, said
        found.update(json.loads(out))
        return bool(found["processes"] == processes)

    until(looked, "an answer of each shard in the two seconds that it is given")
    parts = {each["topic"]: each["part"] for each in found["topics"]}
    assert (
        parts.items() >= {"events": "decide", "messages.sms.now": "deliver sms", "outcomes": "track"}.items()
    )
    assert all(each["drain_s"] is None or each["drain_s"] >= 0 for each in found["topics"])
    assert {each["down"] for each in found["accounts"]} == {0}


def test_named_queries_answer(terminal: Terminal, running: object) -> None:
    code, out, _ = terminal.tocsin("query", "funnel", "--json")
    assert code == 0
    assert isinstance(json.loads(out), list)
    assert "suppressed" in terminal.tocsin("query")[1]


@pytest.mark.parametrize(
    ("words", "more", "code", "cure"),
    [
        (["send", "x", "--user", "u", "--data", "{broken"], {}, 2, "not JSON"),
        (["send", "x", "--user", "u", "--data", "[1]"], {}, 2, "JSON object"),
        (["tail", "nonsense"], {}, 2, "outcomes"),
        (["tail", "[/red]"], {}, 2, "[/red]"),
        (["query", "nonsense"], {}, 78, "funnel"),
        (["why"], {}, 2, "--user"),
        (["why", "x", "--limit", "-1"], {}, 2, "--limit"),
        (["query", "timeline"], {}, 2, "--notification-id"),
        (["run", "--shard", "4/2"], {}, 2, "i/N"),
        (["run", "--shards", "9"], {}, 2, "TOCSIN_PARTITIONS"),
        (["run", "--channel", "pigeon"], {}, 2, "email"),
        (["run"], {"TOCSIN_SECRET": "short"}, 78, "TOCSIN_SECRET"),
        (["run"], {"TOCSIN_EPOCH_MS": "soon"}, 78, "TOCSIN_EPOCH_MS"),
        (["run"], {"TOCSIN_PARTITIONS": "8"}, 78, "TOCSIN_PARTITIONS=4"),
        (["run"], {"TOCSIN_HTTP_PORT": "70000"}, 78, "TOCSIN_HTTP_PORT"),
        (["run"], {"TOCSIN_KAFKA_OPTIONS": '{"acks": "1"}'}, 78, "TOCSIN_KAFKA_OPTIONS"),
        (["offsets", "forget"], {}, 2, "--yes"),
        (["check", "--no-servers"], {"TOCSIN_CATALOG": "nowhere"}, 1, "TOCSIN_CATALOG"),
        (["check"], {"TOCSIN_KAFKA_OPTIONS": "{bad"}, 78, "TOCSIN_KAFKA_OPTIONS"),
        (["check"], {"TOCSIN_REDIS": "redis://127.0.0.1/0?such=1"}, 1, "such"),
        (["balance"], {"TOCSIN_KAFKA_OPTIONS": '{"sasl.mechanismx": "x"}'}, 78, "sasl.mechanismx"),
        (["why", "x"], {"TOCSIN_CLICKHOUSE": "http://127.0.0.1:9/x"}, 1, "TOCSIN_CLICKHOUSE"),
        (["balance"], {"TOCSIN_CLICKHOUSE": "nonsense"}, 78, "TOCSIN_CLICKHOUSE"),
    ],
)
def test_bad_input_names_the_cure(
    terminal: Terminal,
    words: list[str],
    more: dict[str, str],
    code: int,
    cure: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In this process: a new one for each would take minutes to load the same libraries."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["tocsin", *words])
    for name, value in (terminal.env | more).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main()
    said = "".join(capfd.readouterr())
    assert (ended.value.code, cure in said) == (code, True), said
    assert "Traceback" not in said


def test_an_error_ends_the_process_with_its_code(terminal: Terminal) -> None:
    code, out, err = terminal.tocsin("query", "nonsense")
    assert (code, out) == (78, "")
    assert "funnel" in err


def test_a_changed_layout_is_refused_with_the_cure(
    terminal: Terminal, running: "subprocess.Popen[str]"
) -> None:
    state = Path(terminal.env["TOCSIN_STATE_DIR"])
    until((state / "gate-0").exists, "the start")
    code, _, err = terminal.tocsin("run", "--shard", "0/2", TOCSIN_KEY_GROUPS="5")
    assert code == 78
    assert "another process uses it" in err or "key groups" in err


def test_a_topic_created_anew_stops_a_running_shard(terminal: Terminal, tmp_path: Path) -> None:
    own = {"TOCSIN_TOPIC_PREFIX": "anew.", "TOCSIN_STATE_DIR": str(tmp_path), "TOCSIN_HTTP_PORT": "0"}
    assert terminal.tocsin("topics", "create", **own)[0] == 0
    shard = terminal.start("run", "--flow", "decide", "--shard", "0/1", **own)
    until(lambda: (tmp_path / "gate-0").exists() or shard.poll() is not None, "the start")
    admin = AdminClient({"bootstrap.servers": terminal.settings.kafka})
    admin.delete_topics(["anew.bulk"])["anew.bulk"].result(30)
    terminal.tocsin("topics", "create", **own)
    _, err = shard.communicate(timeout=90)
    assert shard.returncode == 78
    assert "topics were deleted and created anew since the state was written: bulk;" in err
