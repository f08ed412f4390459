"""What a soak must not have done: compares the outcomes with what the providers took."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tocsin.model.outcome import Outcome
from tocsin.model.statuses import FINAL, Reason, Status
from tocsin.model.unanswered import OnUnknown

_SHOWN = 5


class Judged(msgspec.Struct, frozen=True):
    """What was found; `violations` are sentences, empty if all is well."""

    messages: int
    sent: int
    dead: Mapping[str, int]
    taken: int
    taken_twice: int
    unknown: int
    awaiting_retry: int
    violations: Sequence[str]


class _Life:
    """What was said of one message."""

    def __init__(self) -> None:
        self.channel = ""
        self.unknown = 0
        self.finals: list[Outcome] = []
        self.last = Status.ADMITTED, Reason.NONE

    @property
    def awaits_retry(self) -> bool:
        """Tell whether the gate holds it for its next attempt, which may be due in half an hour."""
        return not self.finals and self.last == (Status.HELD, Reason.RETRY_LATER)


def judge(outcomes: Iterable[Outcome], taken: Counter[str], policies: Mapping[str, OnUnknown]) -> Judged:
    """Compare.

    Args:
        outcomes: all of them; copies count once.
        taken: how often a provider took each message.
        policies: what follows an unknown outcome, by channel.
    """
    lives = _lives(outcomes)
    sent = {name for name, life in lives.items() if _ended(life, Status.SENT)}
    faults = {
        "were sent twice": _doubled(lives, taken, policies),
        "are called sent, and no provider took them": sorted(sent - taken.keys()),
        "were sent, and no outcome says so": _unsaid(lives, taken),
        "have no final outcome": [
            name for name, life in lives.items() if not life.finals and not life.awaits_retry
        ],
        "were sent, and have no outcome": sorted(taken.keys() - lives.keys()),
    }
    return Judged(
        messages=len(lives),
        sent=len(sent),
        dead=Counter(life.finals[0].reason for life in lives.values() if _ended(life, Status.DEAD)),
        taken=taken.total(),
        taken_twice=sum(1 for count in taken.values() if count > 1),
        unknown=sum(life.unknown for life in lives.values()),
        awaiting_retry=sum(life.awaits_retry for life in lives.values()),
        violations=[_sentence(what, names) for what, names in faults.items() if names],
    )


def _sentence(what: str, names: Sequence[str]) -> str:
    return f"{len(names)} messages {what}: {', '.join(names[:_SHOWN])}"


def _lives(outcomes: Iterable[Outcome]) -> dict[str, _Life]:
    lives: defaultdict[str, _Life] = defaultdict(_Life)
    seen: set[str] = set()
    for outcome in outcomes:
        if not outcome.message_id or outcome.outcome_id in seen:
            continue
        seen.add(outcome.outcome_id)
        life = lives[outcome.message_id]
        life.channel = outcome.channel
        life.last = Status(outcome.status), Reason(outcome.reason)
        life.unknown += outcome.reason == Reason.UNKNOWN and outcome.status == Status.RETRYING
        if outcome.status in FINAL:
            life.finals.append(outcome)
    return lives


def _ended(life: _Life, status: Status) -> bool:
    return any(final.status == status for final in life.finals)


def _doubled(lives: Mapping[str, _Life], taken: Counter[str], policies: Mapping[str, OnUnknown]) -> list[str]:
    """Name messages taken more often than their policy allows: once more after each unknown outcome."""
    return [
        name
        for name, count in taken.items()
        if count > 1 and count > 1 + _may_repeat(lives.get(name), policies)
    ]


def _may_repeat(life: _Life | None, policies: Mapping[str, OnUnknown]) -> int:
    return life.unknown if life is not None and policies[life.channel] == "resend" else 0


def _unsaid(lives: Mapping[str, _Life], taken: Counter[str]) -> list[str]:
    """Name messages that a provider took, of which no outcome says that they were, or may have been, sent."""
    return [
        name
        for name in taken
        if (life := lives.get(name))
        and not life.unknown
        and not life.awaits_retry
        and not _ended(life, Status.SENT)
        and not any(final.reason == Reason.UNKNOWN for final in life.finals)
    ]
