"""The sent log: the file as record, the ring and its index in memory, and how they are asked."""

import json
import signal
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.box import Box, mail_document, start
from tests.waiting import PATIENCE_S
from tocsin.devkit.sandbox.sent import ACCEPTED, Call, Log, Sent


def call(user: str = "ada", content: bytes = b"{}", message_id: str = "m") -> Call:
    return Call(
        provider="fcm", channel="push", recipient=f"token-{user}", message_id=message_id, content=content
    )


def sent_in(folder: Path, keep: int = 100, keep_bytes: int = 1 << 20) -> Sent:
    return Sent(Log(folder / "sent.jsonl"), keep=keep, keep_bytes=keep_bytes)


def test_a_line_is_in_the_file_before_the_answer(box: Box) -> None:
    for number in range(20):
        parts = [{"to": [{"email": "a@example.com"}], "custom_args": {"message_id": f"{number:032x}"}}]
        assert box.sendgrid(mail_document(personalizations=parts)).status_code == 202
        assert box.send_log()[-1]["message_id"] == f"{number:032x}"


def test_a_killed_sandbox_keeps_its_send_log_and_goes_on_counting(tmp_path: Path) -> None:
    with start(tmp_path) as first:
        for _ in range(5):
            first.twilio()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(PATIENCE_S)
    with (tmp_path / "sent.jsonl").open("ab") as torn:
        torn.write(b'{"at_ms":1,"provider":"twi')
    with start(tmp_path) as again:
        assert again.http.get("/count").json()["accepted"] == 5
        again.twilio()
        assert again.http.get("/count").json()["accepted"] == 6
        assert [message["content"] is None for message in again.sent()] == [False] + [True] * 5
    lines = (tmp_path / "sent.jsonl").read_bytes().splitlines()
    assert len(lines) == 7
    assert json.loads(lines[-1])["provider"] == "twilio"


def test_the_keys_stay_the_same_over_a_restart(tmp_path: Path) -> None:
    def keys() -> tuple[str, str]:
        account = json.loads((tmp_path / "fcm-service-account.json").read_text())
        return account["private_key"], (tmp_path / "apns.p8").read_text()

    with start(tmp_path, "--h2-port=0") as first:
        made, uri = keys(), f"{first.url}/fcm/token"
        assert json.loads((tmp_path / "fcm-service-account.json").read_text())["token_uri"] == uri
    with start(tmp_path, "--h2-port=0") as again:
        assert keys() == made
        assert again.fcm().status_code == 200


def test_counts_find_what_was_sent_twice(box: Box) -> None:
    for message_id in ("a" * 32, "b" * 32, "a" * 32):
        box.fcm({"token": "token-0001", "data": {"message_id": message_id}})
    box.fcm({"token": "token-0001", "data": {"n": "1"}})
    box.twilio(To="+15005550001")
    counted = box.http.get("/count", params={"messages": 1}).json()
    assert counted["accepted"] == 4
    assert (counted["messages"], counted["without_id"], counted["doubled"]) == (2, 1, 1)
    assert counted["doubled_ids"] == [{"message_id": "a" * 32, "calls": 2}]
    assert counted["invalid"] == [{"provider": "twilio", "code": "21211", "calls": 1}]


def test_messages_are_listed_newest_first_and_filtered(box: Box) -> None:
    box.sendgrid()
    box.twilio()
    box.fcm()
    box.order({"kind": "status"}, count=1)
    box.twilio(To="+33612345678")
    assert [message["provider"] for message in box.sent()] == ["fcm", "twilio", "sendgrid"]
    newest, *_ = box.sent(status="any")
    assert newest["status"] == "refused"
    assert [message["provider"] for message in box.sent(channel="sms")] == ["twilio"]
    assert [message["recipient"] for message in box.sent(provider="sendgrid")] == ["ada@example.com"]
    assert [message["provider"] for message in box.sent(user="default/ada")] == ["sendgrid"]
    assert box.sent(user="nobody") == []
    newest = box.sent()[0]["at_ms"]
    assert box.sent(since=newest + 1) == []
    assert len(box.sent(since=box.sent()[-1]["at_ms"])) == 3


def test_pages_follow_each_other_without_gap(box: Box) -> None:
    for number in range(25):
        box.twilio(Body=str(number))
    seen: list[str] = []
    before = 0
    while before is not None:
        page = box.http.get("/sent", params={"limit": 7, "before": before}).json()
        seen += [message["title"] for message in page["messages"]]
        before = page["before"]
    assert seen == [str(number) for number in reversed(range(25))]


def test_one_message_is_read_by_its_number(box: Box) -> None:
    box.fcm()
    summary = box.http.get("/sent").json()["messages"][0]
    assert "content" not in summary
    full = box.http.get(f"/sent/{summary['seq']}").json()
    assert full["content"]["title"] == "Boarding"
    assert box.http.get("/sent/999999999").status_code == 404


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 5000}, {"since": "yesterday"}])
def test_a_wrong_query_is_refused(box: Box, query: dict[str, int | str]) -> None:
    assert box.http.get("/sent", params=query).status_code == 400


def test_everything_can_be_forgotten(box: Box) -> None:
    box.fcm()
    assert box.http.delete("/sent").status_code == 204
    assert box.send_log() == []
    assert box.http.get("/count").json() == {"accepted": 0, "counts": [], "invalid": []}


def test_people_give_addresses_a_name(box: Box) -> None:
    people = [{"user": "default/ada", "name": "Ada Lovelace", "addresses": ["+4915112345678", "token-0001"]}]
    assert box.http.put("/people", json=people).json() == {"new": 1}
    assert box.http.put("/people", json=people).json() == {"new": 0}
    box.twilio()
    box.fcm({"token": "token-0001", "data": {}})
    box.fcm({"token": "token-0002", "data": {}})
    assert [message["user"] for message in box.sent()] == ["token-0002", "default/ada", "default/ada"]
    assert box.sent(user="default/ada")[0]["name"] == "Ada Lovelace"


@pytest.mark.parametrize("needle", ["LOVELACE", "default/a", "+49151", "0001"])
def test_users_are_found_by_name_id_and_address(box: Box, needle: str) -> None:
    people = [{"user": "default/ada", "name": "Ada Lovelace", "addresses": ["+4915112345678", "token-0001"]}]
    box.http.put("/people", json=people)
    box.twilio()
    box.twilio(To="+33612345678")
    found = box.http.get("/users", params={"q": needle}).json()
    assert [(user["user"], user["name"]) for user in found["users"]] == [("default/ada", "Ada Lovelace")]
    assert found["kept"] == 2


def test_people_that_make_no_sense_are_refused(box: Box) -> None:
    assert box.http.put("/people", json={"user": "x"}).status_code == 400


@given(
    calls=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=60),
    keep=st.integers(1, 20),
    keep_bytes=st.integers(10, 200),
)
def test_the_index_agrees_with_the_ring(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, int]], keep: int, keep_bytes: int
) -> None:
    sent = sent_in(tmp_path_factory.mktemp("sent"), keep, keep_bytes)
    for user, size in calls:
        sent.accept(call(user, b"x" * size), user, 1, provider_id="")
    kept = list(sent.newest())
    assert len(kept) == len(sent) <= keep
    assert sum(len(entry.call.content) for entry in kept) <= keep_bytes
    by_user: dict[str, list[int]] = defaultdict(list)
    for entry in kept:
        by_user[entry.user].append(entry.seq)
        assert sent.get(entry.seq) is entry
    assert {user: [entry.seq for entry in sent.newest(user=user)] for user in "abc"} == {
        user: by_user.get(user, []) for user in "abc"
    }
    assert [user for user, _, _ in sent.users()] == list(by_user)
    assert {user: count for user, count, _ in sent.users()} == {
        user: len(seqs) for user, seqs in by_user.items()
    }
    assert sum(sent.totals.values()) == sent.accepted == len(calls) == len(list(sent.send_log()))


@given(count=st.integers(0, 30), before=st.integers(0, 40))
def test_before_is_where_a_walk_begins(
    tmp_path_factory: pytest.TempPathFactory, count: int, before: int
) -> None:
    sent = sent_in(tmp_path_factory.mktemp("sent"), keep=12)
    for _ in range(count):
        sent.accept(call(), "ada", 1, provider_id="")
    wanted = [seq for seq in range(count, max(0, count - 12), -1) if not before or seq < before]
    assert [entry.seq for entry in sent.newest(before=before)] == wanted
    assert [entry.seq for entry in sent.newest(user="ada", before=before)] == wanted


def test_numbers_go_on_after_clearing(tmp_path: Path) -> None:
    sent = sent_in(tmp_path)
    first = sent.accept(call(), "ada", 1, provider_id="")
    sent.clear()
    again = sent.refuse(call(), "ada", 2, "503")
    assert again.seq == first.seq + 1
    assert sent.get(first.seq) is None
    assert sent.accepted == 0
    assert again.status != ACCEPTED
