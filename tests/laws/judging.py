"""What a broken run may have said more than an unbroken one, and what not."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from tests.laws.deciding import Decisions, Shown
from tocsin.model import topics
from tocsin.model.message import Message, Retry
from tocsin.model.outcome import Outcome
from tocsin.model.raw import RawRecord
from tocsin.model.statuses import Channel, Reason, Status

_outcome = msgspec.json.Decoder(Outcome).decode
_message = msgspec.json.Decoder(Message).decode
_retry = msgspec.json.Decoder(Retry).decode


def decided_by_events(decisions: Decisions) -> Decisions:
    """Keep what was decided about events, copies once: see the test for what is left out, and why."""
    found = {}
    for (topic, subject), records in decisions.items():
        if topic.startswith("messages."):
            kept = _first_forms(records)
        else:
            kept = [one for one in dict.fromkeys(records) if _is_of_event(topic, one)]
        if kept:
            found[topic, subject] = kept
    return found


def _is_of_event(topic: str, record: Shown) -> bool:
    if topic == topics.DEAD:
        return dict(record.headers)["tocsin-stage"] != b"deliver"
    outcome = _outcome(record.value or b"")
    return not outcome.message_id or outcome.status == Status.ADMITTED


def _first_forms(records: Iterable[Shown]) -> list[Shown]:
    """Each message as it was admitted first; what came back may be written again in another form."""
    first: dict[str, Shown] = {}
    for record in records:
        first.setdefault(_message(record.value or b"").message_id, record)
    return list(first.values())


def unanswered_forms(messages: Sequence[RawRecord], retries: Sequence[RawRecord]) -> list[str]:
    """Name messages that stand in more forms than they were admitted and came back."""
    forms: defaultdict[str, set[bytes]] = defaultdict(set)
    for record in messages:
        forms[_message(record.value or b"").message_id].add(record.value or b"")
    back = Counter(_retry(value).message.message_id for value in {record.value or b"" for record in retries})
    return [name for name, seen in forms.items() if len(seen) > 1 + back[name]]


def copies_that_differ(outcomes: Sequence[RawRecord]) -> list[list[bytes]]:
    """Give outcomes that stand in more than one form: one id, one text (none holds an address).

    Nothing is remembered of an erased user, so each copy of what came back for him is answered again, with
    the same word under the same id; only its time is that of the copy.
    """
    forms: defaultdict[str, set[bytes]] = defaultdict(set)
    for record in outcomes:
        word, text = _outcome(record.value or b""), record.value or b""
        erased = word.reason == Reason.ERASED
        forms[word.outcome_id].add(msgspec.json.encode(replace(word, at_ms=0)) if erased else text)
    return [sorted(seen) for seen in forms.values() if len(seen) > 1]


def sent_by_provider(outcomes: Sequence[RawRecord]) -> set[str]:
    """Messages whose last word is that a provider took them; an inbox is none."""
    said = [_outcome(record.value or b"") for record in outcomes]
    return {word.message_id for word in said if word.status == Status.SENT and word.channel != Channel.INAPP}
