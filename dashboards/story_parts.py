"""What a story is made of: steps in the order of time, attempts, receipts, what it waits for, and links."""

import msgspec

from tocsin.model.outcome import Scalar


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Another story that this one leads to.

    Attributes:
        relation: `digest`, `item`, `replaced_by`, `collapsed_into`, `cancelled_by`, `original`, `instead` or
            `replay_of`.
        subject: what `tocsin why` finds it by.
        sentence: what it is and what became of it.
    """

    relation: str
    subject: str
    sentence: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, in the order of time.

    Attributes:
        kind: `event`, `decision`, `attempt` or `receipt`.
        at: `at_ms` by the clock of the story, with its zone.
        passed: rules that were asked before and did not object. A rule that the catalog does not use passes.
        numbers: what the decision rested on.
        replay: id of the replay that it is of; empty for the first time.
        replay_of: the origin or message that was replayed.
    """

    at_ms: int
    at: str
    kind: str
    status: str
    sentence: str
    reason: str = ""
    rule: str = ""
    channel: str = "*"
    target: str = ""
    message_id: str = ""
    provider: str = ""
    catalog_version: str = ""
    passed: tuple[str, ...] = ()
    numbers: dict[str, Scalar] = {}
    links: tuple[Link, ...] = ()
    outcome_id: str = ""
    replay: str = ""
    replay_of: str = ""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a provider and its answer; `took_ms` is -1 where no call was made."""

    number: int
    at_ms: int
    at: str
    channel: str
    target: str
    message_id: str
    account: str
    status: str
    reason: str
    code: str
    took_ms: int
    provider_message_id: str
    sentence: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was reported of a message after it was sent; `kind` is the status of its outcome."""

    kind: str
    at_ms: int
    at: str
    channel: str
    message_id: str
    provider: str
    reason: str
    code: str
    sentence: str


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """What is waited for now; `until_ms` is 0 where no time is known."""

    channel: str
    message_id: str
    reason: str
    until_ms: int
    until: str
    sentence: str


class DeadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes of a dead letter are, why nobody could handle them, and how to replay them.

    Attributes:
        place: of the dead letter, `dead/partition/offset`; empty if ClickHouse has not got it yet.
        stage: `decode`, `gate` or `deliver`; empty with `place`.
        size: bytes of the record.
    """

    origin: str
    reason: str
    error: str
    place: str = ""
    stage: str = ""
    size: int = 0
    sentence: str
    replay: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The story of one notification; of an event or a user where no notification was decided.

    Attributes:
        subject: what `tocsin why` finds it by: a notification's id, an origin, or a user.
        heading: what became of it, in one sentence.
        state: `waiting`; else the most important final status, or the furthest receipt of what was sent.
        zone: the time zone of all its times: the user's where an outcome names it.
        steps: all that happened, in the order of time.
        waits: what it still waits for; empty once it is over.
        links: all other stories that its steps name, and the items of a digest.
    """

    subject: str
    heading: str
    state: str
    tenant: str
    user: str
    notification: str
    category: str
    priority: str
    variant: str
    event_id: str
    event_source: str
    event_type: str
    origin: str
    zone: str
    first_ms: int
    last_ms: int
    steps: tuple[Step, ...]
    attempts: tuple[Attempt, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    waits: tuple[Wait, ...] = ()
    links: tuple[Link, ...] = ()
    dead: DeadRecord | None = None
