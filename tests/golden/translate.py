"""Where today's form differs on purpose from the recorded one: one rule a difference, each with its reason.

The recordings are never edited by hand. Whoever changes a form, derives outcomes that were written before, or
corrects a fault, adds a function here: to `RECORDED`, which turns what was recorded into what is expected
today, or to `TODAYS`, which turns what today's code publishes into the recorded form. Its docstring says why
only the form differs, or which fault was corrected; CHANGELOG.md has the same line.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from tests.golden.changed_rules import at_the_end, delays, texts_counted, unasked
from tests.golden.changed_times import collapsed, held_once, snoozes, without_hours
from tests.golden.choices import overtaken_profiles, whose_no, without_defaults
from tests.golden.former_ids import with_former_ids
from tests.golden.readable_names import without_names
from tests.golden.wire import Published

Translation = Callable[[Sequence[Published]], Sequence[Published]]
_ERROR_HEADER = "tocsin-error"


def sentences(records: Sequence[Published]) -> Sequence[Published]:
    """Compare whether an error has a sentence, not its words.

    The sentences are prose for people and get better; no decision or id rests on them. Their own tests read
    them.
    """
    return [_without_sentence(record) for record in records]


def _without_sentence(record: Published) -> Published:
    if record.topic == "dead":
        headers = [(name, b"*" if name == _ERROR_HEADER and data else data) for name, data in record.headers]
        return record._replace(headers=tuple(headers))
    if record.topic == "outcomes" and b'"detail":{"error":' in (record.value or b""):
        outcome = msgspec.json.decode(record.value or b"")
        outcome["detail"]["error"] = "*" if outcome["detail"]["error"] else ""
        return record._replace(value=msgspec.json.encode(outcome))
    return record


_PLACE = frozenset({"tocsin-topic", "tocsin-partition", "tocsin-offset"})
_BINARY = "tocsin-original-ce_"
_TIMES = frozenset({"time", "tocsinsendat", "tocsinexpires"})
_ATTRIBUTES = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "tenant", "recipient", "data"}
    | {"tocsinsendat", "tocsinexpires"}
)


def rewritten_dead_letters(published: Sequence[Published]) -> Sequence[Published]:
    """Rewrite the dead letters of the gate as it once did.

    They were an event written anew, against docs/contracts.md. Now they are the bytes that were read, with
    the headers and the key of the producer. An event that an older store holds is still written anew.
    """
    return [_rewritten(one) if _is_of_gate(one) else one for one in published]


def _is_of_gate(one: Published) -> bool:
    return one.topic == "dead" and ("tocsin-stage", b"gate") in one.headers


def _rewritten(one: Published) -> Published:
    headers = dict(one.headers)
    event = json.loads(one.value or b"")
    if ("tocsin-topic", b"receipts") in one.headers:
        # A receipt's own place, where once was that of its event, if any.
        return one._replace(headers=tuple(header for header in one.headers if header[0] not in _PLACE))
    binary = {name: data.decode() for name, data in one.headers if name.startswith(_BINARY)}
    if binary:
        event = {name.removeprefix(_BINARY): text for name, text in binary.items()} | {"data": event}
    kept = {name: value for name, value in event.items() if name in _ATTRIBUTES}
    for name in _TIMES & kept.keys():
        at = datetime.fromisoformat(kept[name]).astimezone(UTC)
        kept[name] = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    if "time" not in kept:
        at = datetime.fromtimestamp(int(headers["tocsin-first-ms"]) / 1000, UTC)
        kept["time"] = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    key = f"{kept.setdefault('tenant', 'default')}/{kept['subject']}".encode()
    kept.setdefault("data", {})
    if "recipient" in kept:
        kept["recipient"] = {name: text for name, text in kept["recipient"].items() if text}
    ours = tuple(header for header in one.headers if not header[0].startswith("tocsin-original-"))
    return one._replace(key=key, value=json.dumps(kept).encode(), headers=ours)


# Inline recipients of the run `rules` whose messages return in the quiet hours of the tenant's time zone.
_AWAY = frozenset({b"lab/user-21", b"lab/user-42"})


def returned_to_guests(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out later attempts to two inline recipients in India.

    When their messages returned, their own time zone was forgotten: they were held for the night of the
    tenant's, and sent in their own. `tests/decision/test_returned.py` says what is right.
    """
    return [one for one in published if one.key not in _AWAY or not _is_later_attempt(one)]


def _is_later_attempt(one: Published) -> bool:
    record = msgspec.json.decode(one.value or b"{}")
    return bool(record.get("message_id")) and record.get("attempt", 1) > 1


def dead_when_due(published: Sequence[Published]) -> Sequence[Published]:
    """Leave the error out of the outcome of a held notification that is dead when due: it had none."""
    return [_without_error(one) if one.topic == "outcomes" else one for one in published]


def _without_error(one: Published) -> Published:
    outcome = msgspec.json.decode(one.value or b"")
    if outcome["status"] != "dead" or not outcome.get("notification_id"):
        return one
    outcome.pop("detail", None)
    return one._replace(value=msgspec.json.encode(outcome))


# One whose profile has a bad field, and one whose tenant left the catalog before the profile came.
_OTHERWISE = frozenset({b"lab/user-02", b"gone/waiter"})


def bad_profiles(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out what was said of profiles with a bad field, and two users on whom it bears.

    They were refused as a whole, with their opt-outs. Now their sound fields are applied and the gate
    dead-letters them with what is left out: `tests/formats/test_profiles.py`.
    """
    return [one for one in published if one.key not in _OTHERWISE and not _is_about_a_profile(one)]


def _is_about_a_profile(one: Published) -> bool:
    if one.topic == "dead":
        return ("tocsin-topic", b"profiles") in one.headers
    return one.topic == "outcomes" and b'"origin":"profiles/' in (one.value or b"")


# Whoever used an id again, while the notification of the first event was held.
_REUSED = frozenset({b"lab/reused"})


def used_ids(published: Sequence[Published]) -> Sequence[Published]:
    """Leave out whoever used an id again after the window.

    Both events had one notification id, so the second was a duplicate of what was held. Now each has its own,
    and both are decided: `tests/decision/test_gate.py`.
    """
    return [one for one in published if one.key not in _REUSED]


def former_ids(published: Sequence[Published]) -> Sequence[Published]:
    """Give notifications the ids that they had: the origin of the event did not belong to them.

    Two events of equal source and id could have equal ids, and the second vanished behind the first.
    """
    return with_former_ids(published)


_RECEIPTS = frozenset({"delivered", "bounced", "complained", "opened", "clicked", "unsubscribed", "read"})


def receipts_without_id(published: Sequence[Published]) -> Sequence[Published]:
    """Leave the id out of outcomes of receipts that name no message.

    Without an id of their own, too, all of one kind had the same id, whoever they were about. Now the id is a
    hash of all that the receipt says: `tests/decision/test_receipts.py`.
    """
    return [_without_id(one) if one.topic == "outcomes" else one for one in published]


def _without_id(one: Published) -> Published:
    outcome = msgspec.json.decode(one.value or b"")
    if outcome["status"] not in _RECEIPTS or outcome.get("message_id"):
        return one
    return one._replace(value=msgspec.json.encode(outcome | {"outcome_id": ""}))


_ZONES = re.compile(rb'("catalog_version":"[0-9a-f]{12})-tz[0-9.]+"')


def versions_without_zones(published: Sequence[Published]) -> Sequence[Published]:
    """Take the release of the zone data out of `catalog_version`, which once was the catalog's hash alone."""
    return [one._replace(value=one.value and _ZONES.sub(rb'\1"', one.value)) for one in published]


_PROOFS = frozenset({"permanent", "recipient_gone", "recipient_opted_out"})


def blocks_raise_the_version(published: Sequence[Published]) -> Sequence[Published]:
    """Leave the versions out of what users got who had an address blocked, and nothing else.

    A block did not reach messages that queued already. Now it raises the version of the profile, and the send
    ledger stops what is older (law 3).
    """
    blocked = {one.key for one in published if one.topic == "outcomes" and _blocks(one)}
    return [
        _without_version(one) if one.key in blocked else one
        for one in published
        if not (one.topic == "versions" and one.key in blocked)
    ]


def _blocks(one: Published) -> bool:
    outcome = msgspec.json.decode(one.value or b"")
    status, reason = outcome["status"], outcome.get("reason", "")
    return status == "complained" or (status in ("bounced", "unsubscribed") and reason in _PROOFS)


def _without_version(one: Published) -> Published:
    if not one.topic.startswith("messages."):
        return one
    message = msgspec.json.decode(one.value or b"", type=dict[str, msgspec.Raw])
    message.pop("profile_version", None)
    return one._replace(value=msgspec.json.encode(message))


_RULE = re.compile(rb',"rule":"[a-z_]+"(?=[,}])')


def without_rules(published: Sequence[Published]) -> Sequence[Published]:
    """Take the name of the rule that objected out of outcomes: they did not have it."""
    return [
        one._replace(value=one.value and _RULE.sub(b"", one.value)) if one.topic == "outcomes" else one
        for one in published
    ]


_GONE = re.compile(rb',"detail":\{"(gone|unmet|conditions_of)":"[^"]+"\}')


def without_what_is_gone(published: Sequence[Published]) -> Sequence[Published]:
    """Take out of outcomes what the catalog has no more of something held, and conditions that do not hold.

    They said neither.
    """
    return [
        one._replace(value=one.value and _GONE.sub(b"", one.value)) if one.topic == "outcomes" else one
        for one in published
    ]


_SLOTS = re.compile(rb',"slots":\[[0-9,]+\]')
_WINDOW = re.compile(rb',"window_(start|end)_ms":-?[0-9]+')
_NUMBERS = re.compile(
    rb'("due_ms":[0-9]+|"held_for":"limit_hold"),"counter":"[^"]*","limit":[0-9]+,"window_s":[0-9.]+,"count":[0-9]+'
)


def places_in_limits(published: Sequence[Published]) -> Sequence[Published]:
    """Take the places in limits out of messages, and what is new in the numbers of a limit out of outcomes.

    Messages did not have them, so a failed send gave no place back. Outcomes did not say when the window
    starts and ends, and those of holds named the time only.
    """
    return [one._replace(value=_without_places(one.value) if one.value else None) for one in published]


def no_more_than_the_limit(published: Sequence[Published]) -> Sequence[Published]:
    """Let no count of an outcome be above its limit.

    Critical notifications are counted beyond a limit. How many of these were in the count depended on the
    largest limit of the counter; now all are.
    """
    return [
        one._replace(value=one.value and _COUNT.sub(_as_limited, one.value))
        if one.topic == "outcomes"
        else one
        for one in published
    ]


_COUNT = re.compile(rb'"limit":([0-9]+),("window_s":[0-9.]+,)"count":([0-9]+)')


def _as_limited(found: re.Match[bytes]) -> bytes:
    count = min(int(found[1]), int(found[3]))
    return b'"limit":%s,%s"count":%d' % (found[1], found[2], count)


def _without_places(value: bytes) -> bytes:
    return _NUMBERS.sub(rb"\1", _WINDOW.sub(b"", _SLOTS.sub(b"", value)))


_BOTH: tuple[Translation, ...] = (
    whose_no,
    overtaken_profiles,
    no_more_than_the_limit,
    blocks_raise_the_version,
    texts_counted,
    snoozes,
    collapsed,
    held_once,
    delays,
    unasked,
    at_the_end,
    used_ids,
    bad_profiles,
    sentences,
    rewritten_dead_letters,
    returned_to_guests,
    dead_when_due,
    receipts_without_id,
)
_OF_THE_EVENT = ("event_source", "event_type", "event_time_ms", "received_ms", "priority")


def erased_when_returned(published: Sequence[Published]) -> Sequence[Published]:
    """Take out of the outcomes of erased users' messages what an erasure of a held one does not say, either.

    A copy of a returned message that came after the erasure had the same outcome id, and more fields: copies
    were not equal, byte for byte. `tests/decision/test_returned.py`.
    """
    return [_as_held(one) if one.topic == "outcomes" else one for one in published]


def _as_held(one: Published) -> Published:
    outcome = msgspec.json.decode(one.value or b"")
    if outcome.get("reason") != "erased" or not outcome.get("message_id"):
        return one
    kept = {name: field for name, field in outcome.items() if name not in (*_OF_THE_EVENT, "platform")}
    return one._replace(value=msgspec.json.encode(kept))


RECORDED = (*_BOTH, erased_when_returned)


def without_audit(records: Sequence[Published]) -> Sequence[Published]:
    """Leave out audit records: the recorded runs are older than their topic; no decision rests on them."""
    return [record for record in records if record.topic != "audit"]


TODAYS = (
    without_names,
    without_rules,
    without_what_is_gone,
    without_defaults,
    without_hours,
    places_in_limits,
    former_ids,
    *_BOTH,
    versions_without_zones,
    without_audit,
)


def expected(recorded: Sequence[Published]) -> Sequence[Published]:
    """Turn what was recorded into what is expected of today's code."""
    for translation in RECORDED:
        recorded = translation(recorded)
    return recorded


def comparable(published: Sequence[Published]) -> Sequence[Published]:
    """Turn what today's code published into the recorded form."""
    for translation in TODAYS:
        published = translation(published)
    return published
