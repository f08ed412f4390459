"""The statuses and reasons of outcomes: one vocabulary for the gate, delivery, receipts and dashboards."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """What happened to a notification or message. `FINAL` are the last words of law 1 (conservation)."""

    ADMITTED = "admitted"
    HELD = "held"
    SUPPRESSED = "suppressed"
    MERGED = "merged"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SENT = "sent"
    RETRYING = "retrying"
    DEAD = "dead"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    READ = "read"
    RESUBSCRIBED = "resubscribed"
    UNBLOCKED = "unblocked"
    FINISHED = "finished"


FINAL = frozenset(
    {
        Status.SUPPRESSED,
        Status.MERGED,
        Status.CANCELLED,
        Status.EXPIRED,
        Status.SENT,
        Status.DEAD,
        Status.FINISHED,
    }
)


class Channel(StrEnum):
    """A channel that Tocsin's own code names; `tocsin.model.channels` knows all of them, and open ones.

    `ANY` stands in outcomes that were decided before routing.
    """

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    WEBPUSH = "webpush"
    INAPP = "inapp"
    WHATSAPP = "whatsapp"
    VOICE = "voice"
    SLACK = "slack"
    WEBHOOK = "webhook"
    ANY = "*"


FIRST_CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.PUSH, Channel.WEBPUSH, Channel.INAPP)
"""The channels of the first release. Profiles name their contacts by fields, and records keep these first."""


class Reason(StrEnum):
    """Why. Each has a sentence in `SENTENCES`, which the docs and `tocsin why` print."""

    NONE = ""
    # suppressed
    NO_MATCH = "no_match"
    DUPLICATE = "duplicate"
    DUPLICATE_KEY = "duplicate_key"
    OPTED_OUT = "opted_out"
    CHANNEL_OFF = "channel_off"
    CATEGORY_OFF = "category_off"
    NOTIFICATION_OFF = "notification_off"
    SNOOZED = "snoozed"
    LIMIT = "limit"
    NO_CHANNEL = "no_channel"
    TARGET_BLOCKED = "target_blocked"
    ERASED = "erased"
    MISSED = "missed"
    SEEN = "seen"
    TENANT_INACTIVE = "tenant_inactive"
    HOLDOUT = "holdout"
    CANCEL_APPLIED = "cancel_applied"
    NOTHING_TO_CANCEL = "nothing_to_cancel"
    ALREADY_SENT = "already_sent"
    UNKNOWN_NOTIFICATION = "unknown_notification"
    NO_ASKED_CHANNEL = "no_asked_channel"
    # merged
    COLLAPSED = "collapsed"
    # held
    QUIET_HOURS = "quiet_hours"
    SEND_WINDOW = "send_window"
    SCHEDULED = "scheduled"
    AWAITING_PROFILE = "awaiting_profile"
    LIMIT_HOLD = "limit_hold"
    RETRY_LATER = "retry_later"
    AWAITING_RECEIPT = "awaiting_receipt"
    FAN_OUT = "fan_out"
    BROADCAST = "broadcast"
    PAUSED = "paused"
    UPLOADING = "uploading"
    ESCALATION = "escalation"
    # cancelled
    ANSWERED = "answered"
    DIGEST = "digest"
    RESCHEDULED = "rescheduled"
    CANCELLED_BY_EVENT = "cancelled_by_event"
    # expired
    TOO_LATE = "too_late"
    # dead: input
    BAD_JSON = "bad_json"
    BAD_UTF8 = "bad_utf8"
    BAD_FIELD = "bad_field"
    TOO_LARGE = "too_large"
    NO_SUBJECT = "no_subject"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    BAD_EXPRESSION = "bad_expression"
    BAD_CATALOG = "bad_catalog"
    UNKNOWN_USER = "unknown_user"
    FORWARD_LOOP = "forward_loop"
    OUTDATED = "outdated"
    # dead or retrying: delivery
    RENDER_ERROR = "render_error"
    ATTACHMENT = "attachment"
    THROTTLED = "throttled"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    RECIPIENT_OPTED_OUT = "recipient_opted_out"
    RECIPIENT_GONE = "recipient_gone"
    MISCONFIGURED = "misconfigured"
    OUT_OF_ATTEMPTS = "out_of_attempts"
    STALE_PROFILE = "stale_profile"
    REPLAYED = "replayed"
    # sent
    RESENT_AFTER_UNKNOWN = "resent_after_unknown"
    FOUND_AFTER_UNKNOWN = "found_after_unknown"
    # admitted
    NO_RECEIPT = "no_receipt"


TEXTS: Final[Mapping[str, str]] = {one: one.value for kind in (Status, Reason) for one in kind}
"""The plain text of each status and reason. `str` of a member copies it, which takes five times as long."""
SENTENCES: dict[Reason, str] = {
    Reason.NO_MATCH: "No notification of the catalog asks for this event.",
    Reason.DUPLICATE: "The same source and id came before, within the dedup window.",
    Reason.DUPLICATE_KEY: "The catalog's dedup key came before, within its window.",
    Reason.OPTED_OUT: "The user turned all notifications off.",
    Reason.CHANNEL_OFF: "The user turned this channel off.",
    Reason.CATEGORY_OFF: "The user turned this category off.",
    Reason.NOTIFICATION_OFF: "The user turned this notification off.",
    Reason.SNOOZED: "The user snoozed notifications until later.",
    Reason.LIMIT: "A limit was reached; the detail names the counter, the limit and the window.",
    Reason.NO_CHANNEL: "The user has no address or device to which it can go.",
    Reason.TARGET_BLOCKED: "A receipt blocks this address or device: it is gone, or refuses messages.",
    Reason.ERASED: "The user was erased.",
    Reason.MISSED: "The schedule could not be raised when it was due.",
    Reason.CANCEL_APPLIED: "The event cancelled what was held; the detail says how many notifications.",
    Reason.NOTHING_TO_CANCEL: "The event names nothing that is held.",
    Reason.ALREADY_SENT: "A replay found that it was sent before, or is on its way.",
    Reason.UNKNOWN_NOTIFICATION: "The event asks for a notification that the tenant's catalog does not have.",
    Reason.NO_ASKED_CHANNEL: "The notification uses none of the channels that the event asks for.",
    Reason.SEEN: "The user has seen it on another channel; the detail names the receipt.",
    Reason.HOLDOUT: "The user is in the control group of an experiment; the variant names it.",
    Reason.TENANT_INACTIVE: "The tenant is inactive: nothing is sent for it.",
    Reason.QUIET_HOURS: "It is held until the user's quiet hours end.",
    Reason.SEND_WINDOW: "It is held until the hours begin in which it, or its channel, may be sent.",
    Reason.SCHEDULED: "It is held until the time asked for.",
    Reason.AWAITING_PROFILE: "The user is not known yet; it is held a short while for the profile.",
    Reason.LIMIT_HOLD: "A limit was reached; it is held until the window has room.",
    Reason.RETRY_LATER: "A provider failed for now; it is held until the next attempt.",
    Reason.AWAITING_RECEIPT: "It was sent; unless a receipt comes in time, another account sends it, too.",
    Reason.FAN_OUT: "It is being handed to the subscribers of its topic, in turns.",
    Reason.BROADCAST: "The broadcast is under way; its users are decided in turns.",
    Reason.PAUSED: "The broadcast is paused; an event resumes it.",
    Reason.UPLOADING: "The broadcast waits for the list of its users; it begins when the list is complete.",
    Reason.ESCALATION: "It is a later step; it is held, and goes out unless a receipt makes it needless.",
    Reason.ANSWERED: "A receipt came before this later step was due; the detail names it.",
    Reason.DIGEST: "It collects items until the digest is due.",
    Reason.RESCHEDULED: "A newer event with the same cancel key replaced it; the detail names that one.",
    Reason.CANCELLED_BY_EVENT: "A cancel event named it; the detail has the event's origin.",
    Reason.COLLAPSED: "A newer one with the same collapse key took its place; the detail names that one.",
    Reason.TOO_LATE: "Its expiry passed before it could be sent.",
    Reason.BAD_JSON: "The record is not JSON.",
    Reason.BAD_UTF8: "The record is not UTF-8.",
    Reason.BAD_FIELD: "A field is missing or has the wrong type; the error names it.",
    Reason.TOO_LARGE: "The record is larger than the limit set.",
    Reason.NO_SUBJECT: "The event names no user: it has neither a subject nor a recipient.",
    Reason.TIME_OUT_OF_RANGE: "The event's time is too far in the past or the future.",
    Reason.BAD_EXPRESSION: "An expression of the catalog failed on this event.",
    Reason.BAD_CATALOG: "The files of the tenant have mistakes: nothing is decided until they are fixed.",
    Reason.UNKNOWN_USER: "No profile came within the time events wait for one.",
    Reason.FORWARD_LOOP: "The record was forwarded to this partition and does not belong here either.",
    Reason.OUTDATED: "A newer profile or an erasure of this user was read before.",
    Reason.RENDER_ERROR: "The template could not be rendered with this event's data.",
    Reason.ATTACHMENT: "An attachment cannot be had: its file or address is wrong, or it is too large.",
    Reason.THROTTLED: "The provider asked to slow down.",
    Reason.TRANSIENT: "The provider failed for now.",
    Reason.UNKNOWN: "The answer never came: it may have been sent.",
    Reason.REJECTED: "The provider refused the message for good.",
    Reason.RECIPIENT_OPTED_OUT: "The recipient told the provider to stop.",
    Reason.RECIPIENT_GONE: "The address or device no longer exists.",
    Reason.MISCONFIGURED: "No account can send it: none is set up, or its key, sender or rights are wrong.",
    Reason.OUT_OF_ATTEMPTS: "Every attempt failed.",
    Reason.STALE_PROFILE: "The user's profile changed while it waited; the gate decides again.",
    Reason.REPLAYED: "A replay returned it; the gate decides again.",
    Reason.RESENT_AFTER_UNKNOWN: "An earlier attempt got no answer; it was sent again, perhaps twice.",
    Reason.NO_RECEIPT: "No receipt of the first one came in time; another account sends it.",
    Reason.FOUND_AFTER_UNKNOWN: "An attempt got no answer; asked later, the provider said that it has it.",
}
