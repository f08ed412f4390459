"""Audit records (`tocsin.audit`): who changed what, apart from what happened to notifications."""

from enum import StrEnum

import msgspec

Fact = str | int | bool | list[str] | None


class Action(StrEnum):
    """What was done."""

    CATALOG_LOADED = "catalog_loaded"
    CATALOG_REFUSED = "catalog_refused"
    PROVIDERS_LOADED = "providers_loaded"
    PREFERENCES_CHANGED = "preferences_changed"
    USER_ERASED = "user_erased"
    USER_CHANGED = "user_changed"
    ERASURE_ASKED = "erasure_asked"
    UNBLOCK_ASKED = "unblock_asked"
    BROADCAST_ASKED = "broadcast_asked"
    BROADCAST_START_ASKED = "broadcast_start_asked"
    BROADCAST_PAUSE_ASKED = "broadcast_pause_asked"
    BROADCAST_RESUME_ASKED = "broadcast_resume_asked"
    BROADCAST_CANCEL_ASKED = "broadcast_cancel_asked"
    KEY_CREATED = "key_created"
    KEY_ROTATED = "key_rotated"
    KEY_REVOKED = "key_revoked"
    SCHEMA_MIGRATED = "schema_migrated"
    SCHEMA_ROLLED_BACK = "schema_rolled_back"
    RETENTION_SET = "retention_set"
    WEBHOOK_SET = "webhook_set"
    WEBHOOK_REMOVED = "webhook_removed"
    WEBHOOK_SWITCHED_ON = "webhook_switched_on"
    WEBHOOK_SWITCHED_OFF = "webhook_switched_off"
    WEBHOOK_REPORT_DROPPED = "webhook_report_dropped"
    REPLAY_STARTED = "replay_started"
    REPLAY_RESUMED = "replay_resumed"


class AuditRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One line of the audit log. It holds no address, token or text of a message (law 7).

    Attributes:
        audit_id: the key copies are dropped by.
        at_ms: when it was done; of a profile, the time of the gate's decision.
        action: what was done, a word of `Action`.
        actor: who did it: `user@host` of a command, the shard and host of a process; of a profile `profiles`,
            since its producer is not known.
        tenant: whose it is; empty where it is about all.
        user: whose preferences; ClickHouse keeps no user of an erasure.
        subject: what it is about: a version of a catalog or of accounts, a broadcast, a replay, a migration.
        detail: facts, by name.
    """

    audit_id: str
    at_ms: int
    action: str
    actor: str = ""
    tenant: str = ""
    user: str = ""
    subject: str = ""
    detail: dict[str, Fact] = {}
