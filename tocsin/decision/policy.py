"""How the gate treats every tenant alike: set once by the process, not by the catalog."""

import msgspec


class GatePolicy(msgspec.Struct, frozen=True):
    """Windows and bounds of the gate. The bounds keep one user's record small whatever is sent to him.

    Attributes:
        dedup_window_ms: two events with the same source + id are one if their times differ by less.
        late_ms: how late an event may come; decoding refuses later ones. Every dedup key is remembered for
            so much longer than its window, so that a late copy is recognised, too.
        profile_wait_ms: how long an event waits for its user's profile.
        dedup_max: ids remembered a user. Beyond it the oldest is forgotten first, so in a flood of distinct
            ids only the newest are recognised as duplicates.
        holds_max: things held a user. Beyond it further ones are suppressed(limit), counter `held`.
        waiting_max: events an unknown user may have waiting; further ones are dead at once (unknown_user).
        waiting_bytes: the same in bytes.
        digests_max: open digests a user. What would open another is suppressed(limit), counter `digests`.
        digest_bytes: what all open digests of a user keep of their items. Beyond it an item is only counted.
        blocked_max: blocked addresses and devices a user; beyond it the oldest block is forgotten.
        partitions: partitions of the topics; `key_groups` of each. A broadcast is shared out among all.
        stream_clock: only the events' own time moves the clock.
        engaged_ms: how long the receipts of a notification decide about its later steps and messages.
        engaged_max: notifications a user whose receipts are remembered; beyond it the oldest is forgotten.
        keys_max: dedup keys of the catalog remembered a user, 35 bytes each. Beyond it those are forgotten
            first that would expire first.
        failed_max: messages remembered a user that were counted in limits and not sent, 34 bytes each.
    """

    dedup_window_ms: int = 86_400_000
    late_ms: int = 604_800_000
    profile_wait_ms: int = 10_000
    dedup_max: int = 128
    holds_max: int = 256
    waiting_max: int = 64
    waiting_bytes: int = 262_144
    blocked_max: int = 64
    partitions: int = 1
    key_groups: int = 1
    stream_clock: bool = False
    engaged_ms: int = 604_800_000
    engaged_max: int = 64
    digests_max: int = 32
    digest_bytes: int = 262_144
    keys_max: int = 512
    failed_max: int = 64
