"""The sentences of a story, one fact each, from the rows of outcomes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from tocsin.model.event import CONTROL
from tocsin.model.explanations import explain, moment
from tocsin.model.outcome import Scalar
from tocsin.model.statuses import FINAL, Reason, Status

__all__ = ["moment"]
Row = Mapping[str, Any]
_RECEIPTS: Final[Mapping[str, str]] = {
    Status.DELIVERED: "It was delivered",
    Status.BOUNCED: "It bounced",
    Status.COMPLAINED: "The user complained about it",
    Status.OPENED: "The user opened it",
    Status.CLICKED: "The user clicked a link in it",
    Status.UNSUBSCRIBED: "The user unsubscribed",
    Status.READ: "The user read it",
    Status.RESUBSCRIBED: "The user subscribed again",
    Status.UNBLOCKED: "The address or device was unblocked",
}
_DECIDED: Final[Mapping[str, str]] = {
    Status.HELD: "It is held",
    Status.SUPPRESSED: "It is not sent",
    Status.MERGED: "It was merged",
    Status.CANCELLED: "It was cancelled",
    Status.EXPIRED: "It expired",
    Status.DEAD: "It is a dead letter",
    Status.FINISHED: "It is finished",
}
_SUMMARY: Final[Mapping[str, str]] = {
    Status.HELD: "held",
    Status.SUPPRESSED: "not sent",
    Status.ADMITTED: "admitted",
    Status.RETRYING: "tried",
    Status.DEAD: "dead",
}


def event(named: Row, came: str, clock: str) -> str:
    """Say what event came and what it asked for; when it happened, too, unless that is when it `came`."""
    what = " ".join(part for part in (named["event_type"], named["event_id"]) if part) or "A record"
    source = f" from {named['event_source']}" if named["event_source"] else ""
    happened = moment(named["event_time_ms"], clock) if named["event_time_ms"] else came
    when = f"; it happened at {happened}" if happened != came else ""
    asks = f" It matches the notification {_notification(named)}." if named["notification"] else ""
    return f"{what}{source} came in as {named['origin']}{when}.{asks}"


def _notification(named: Row) -> str:
    facts = [f"{name} {named[name]}" for name in ("category", "priority", "variant") if named[name]]
    return f"{named['notification']} ({', '.join(facts)})" if facts else str(named["notification"])


def is_attempt(row: Row) -> bool:
    """Tell whether an outcome is that of an attempt to deliver: it names an account, or was tried."""
    return row["status"] in (Status.SENT, Status.RETRYING) or (
        row["status"] == Status.DEAD and bool(row["provider"])
    )


def step(row: Row, detail: Mapping[str, Scalar], clock: str) -> str:
    """Say what an outcome says: a decision with its numbers, an attempt or a receipt."""
    if is_attempt(row):
        return attempt(row)
    if row["status"] in _RECEIPTS:
        return receipt(row)
    if row["status"] == Status.ADMITTED:
        target = f" to {_target(row)}" if row["target"] else ""
        parts = [f"No rule objects: a message{target} is written."]
    else:
        why = explain(row["reason"], {"zone": clock, **detail})
        parts = [_decided(row, why), _error(str(detail.get("error", "")))]
    return _on(row, " ".join(part for part in (*parts, _replayed(row)) if part))


def _replayed(row: Row) -> str:
    """Say which replay a decision is part of, and what was replayed."""
    if not row.get("replay"):
        return ""
    what = "" if "/" in row["replay_of"] else "message "
    return f"This is replay {row['replay']} of {what}{row['replay_of']}."


def _decided(row: Row, why: str) -> str:
    """Say what was decided and why; the reason alone where it says both."""
    what = _DECIDED.get(row["status"], row["status"])
    if why and _is_of_command(row):
        return why
    if not why:
        return f"{what}."
    if what.lower() in why.lower():
        return why
    return f"{what}: {_continued(why)}"


def _continued(sentence: str) -> str:
    return f"{sentence[:1].lower()}{sentence[1:]}"


def _is_of_command(row: Row) -> bool:
    """Tell whether an outcome is that of an event that cancels or controls: nothing was to be sent of it."""
    is_end = row["status"] in (Status.SUPPRESSED, Status.FINISHED)
    return is_end and str(row["event_type"]).startswith(CONTROL)


def _on(row: Row, text: str) -> str:
    """Say which channel a sentence is about."""
    return text if row["channel"] == "*" else f"On {row['channel']}, {_continued(text)}"


def _error(error: str) -> str:
    return f"The error: {error}{'' if error.endswith('.') else '.'}" if error else ""


def _target(row: Row) -> str:
    return f"the {row['platform']} device {row['target']}" if row["platform"] else f"target {row['target']}"


def attempt(row: Row) -> str:
    """Say which account was called, how long it took and what it answered."""
    through = f" through {row['provider']}" if row["provider"] else ""
    took = f" after {row['provider_ms']:,} ms" if row["provider_ms"] >= 0 else ""
    code = f" with {row['code']}" if row["code"] else ""
    why = explain(row["reason"], {})
    number = f"Attempt {row['attempt']} by {row['channel']}{through}"
    if row["status"] == Status.SENT:
        name = f" as {row['provider_message_id']}" if row["provider_message_id"] else ""
        return f"{number}: taken{took}{name}.{' ' + why if why else ''}"
    end = " It is given up." if row["status"] == Status.DEAD else ""
    return f"{number} failed{took}{code}: {why or row['reason']}{end}"


def receipt(row: Row) -> str:
    """Say what a receipt reports, who reports it and why."""
    what = _RECEIPTS.get(row["status"], row["status"])
    where = "" if row["channel"] == "*" else f" by {row['channel']}"
    who = f", as {row['provider']} reports" if row["provider"] else ""
    code = f" ({row['code']})" if row["code"] else ""
    why = explain(row["reason"], {}) or (f"Its reason: {row['reason']}." if row["reason"] else "")
    return f"{what}{where}{who}{code}.{' ' + why if why else ''}"


def heading(named: Row, rows: Sequence[Row], waits: Sequence[Any], clock: str) -> str:
    """Write the heading of a story: the notification, its user, and its state on each channel.

    Args:
        named: names of the event and the notification.
        rows: its outcomes, the oldest first.
        waits: what it waits for, each with a sentence.
        clock: the time zone to write times in.
    """
    what = named["notification"] or named["event_type"] or ("record" if named["origin"] else "receipts")
    whom = f" for {named['user']}" if named["user"] else ""
    return f"{what}{whom}: {became(rows, [one.sentence for one in waits], clock)}"


def became(rows: Sequence[Row], waits: Sequence[str], clock: str) -> str:
    """Say what became of it on each channel, and what it waits for."""
    parts = [_end(ends, clock) for ends in _ends(rows)]
    engaged = dict.fromkeys(row["status"] for row in rows if row["status"] in _RECEIPTS)
    parts += [", ".join(engaged)] if engaged else []
    return "; ".join(dict.fromkeys([*parts, *waits])) or "nothing is known"


def _ends(rows: Sequence[Row]) -> list[list[Row]]:
    """Group the final outcomes by status and reason; what was sent comes first."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row["status"] in FINAL:
            groups.setdefault((row["status"], row["reason"]), []).append(row)
    return sorted(groups.values(), key=lambda ends: ends[0]["status"] != Status.SENT)


def _end(rows: Sequence[Row], clock: str) -> str:
    """Say one end, the channels it is about, and when or why."""
    row = rows[-1]
    names = dict.fromkeys(one["channel"] for one in rows if one["channel"] != "*")
    where = f" by {_listed(list(names))}" if names else ""
    why = f" ({row['reason']})" if row["reason"] else ""
    when = f" at {moment(row['at_ms'], clock)}" if row["status"] == Status.SENT else ""
    what = _SUMMARY.get(row["status"], row["status"])
    if _is_of_command(row):
        what = "done" if row["reason"] in ("", Reason.CANCEL_APPLIED) else "nothing done"
    return f"{what}{where}{when}{why}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


_RELATIONS: Final[Mapping[str, str]] = {
    "digest": "It was collected in the digest {subject}",
    "collapsed_into": "It gave way to the newer notification {subject}",
    "replaced_by": "It was replaced by the newer notification {subject}",
    "cancelled_by": "It was cancelled by {subject}",
    "original": "It repeats {subject}",
    "instead": "The event {subject} came instead",
    "replay_of": "It is the replay {replay} of {subject}",
}


def link(relation: str, subject: str, rows: Sequence[Row], detail: Mapping[str, Scalar], clock: str) -> str:
    """Write how another story is related to this one, and its state.

    Args:
        relation: a key of the table above.
        subject: names the other story.
        rows: its outcomes, the oldest first; empty if they are not known.
        detail: the numbers of the outcome that names it.
        clock: the time zone to write times in.
    """
    number = f" as item {detail['item']}" if relation == "digest" and "item" in detail else ""
    text = f"{_RELATIONS[relation].format(subject=subject, replay=detail.get('replay', ''))}{number}"
    return f"{text}: {_state(rows, clock)}." if rows else f"{text}."


def _state(rows: Sequence[Row], clock: str) -> str:
    if any(row["status"] in FINAL for row in rows):
        return became(rows, (), clock)
    return f"{_SUMMARY.get(rows[-1]['status'], rows[-1]['status'])} so far"


def item(row: Row, detail: Mapping[str, Scalar], clock: str) -> str:
    """Say what was merged into this notification, and when."""
    event_id = f" of the event {row['event_id']}" if row["event_id"] else ""
    number = f"Item {detail['item']}" if "item" in detail else "Merged into it"
    left = f"; its data were left out ({detail['left_out']})" if detail.get("left_out") else ""
    return (
        f"{number}: notification {row['notification_id']}{event_id}, at {moment(row['at_ms'], clock)}{left}."
    )


class DeadPlace(NamedTuple):
    """Where the bytes of a dead letter are, in a sentence, and the command that replays it."""

    place: str
    sentence: str
    replay: str


def dead_place(row: Row, letter: Row | None) -> DeadPlace:
    """Say where the bytes of a dead letter are and how to replay it once its cause is fixed."""
    what = "The message" if row["message_id"] else "The record"
    place = f"dead/{letter['dead_partition']}/{letter['dead_offset']}" if letter else ""
    size = f" ({letter['bytes']:,} bytes)" if letter else ""
    return DeadPlace(
        place,
        f"{what}{size} is in the topic of dead letters{f' at {place}' if place else ''}, byte for byte, with"
        f" reason and error in its headers; its event is {row['origin']}, as long as Kafka keeps it.",
        f"tocsin replay dead --id {row['message_id'] or row['origin']}",
    )
