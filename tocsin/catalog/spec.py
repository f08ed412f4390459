"""Describes the catalog as people write it: pydantic models of its YAML files. Unknown fields are refused.

`catalog/notifications/*.yaml` maps names to notifications, one or more a file:

    flight_delayed:
      on: {type: flight.delayed, when: "data.delay >= 15"}   # type may end in `*`: flight.*
      category: flight_updates                               # one of each tenant's categories
      priority: high                                         # critical | high | normal (default) | low
      channels:                                              # in order; at least one
        - push
        - inapp
        - {channel: email, when: "data.delay >= 60"}
      template: flight_delayed                               # default: the notification's name
      dedup: {key: "data.flight ~ '/' ~ data.date", window: 12h}
      limits:
        - {max: 3, per: 1d}                                  # scope: notification, overflow: drop
        - {max: 1, per: 10m, overflow: hold}
        - {max: 2, per: 1d, scope: channel, channel: email}
        - {max: 40, calendar: month}                         # instead of per: in the user's zone
      send_window: {start: "08:00", end: "20:00"}            # in the user's zone; for critical ones, too
      delay: 2m                                              # after the event's time; tocsinsendat holds, too
      at: "18:00"                                            # or a date and time: 2026-12-24T18:00
      # at: {expression: "data.meeting", offset: -10m, zone: user, expires: 10m}
      expires: 6h                                            # after the event's time: the last millisecond
      collapse_key: "data.flight"                            # of what is held only the newest is sent
      cancel_key: "data.booking"                             # named by tocsin.cancel, and by what replaces it
      escalate:                                              # later steps, each unless a receipt comes first
        - {after: 10m, unless: opened, channels: [sms]}      # delivered | opened | clicked | read
      stop_when_seen: true                                   # opened on one channel: the others are dropped
      digest: {at: "08:00", key: data.airline}               # all words: tocsin/catalog/digests.py
      attachments: [{url: "{{ data.bill }}", type: image/png}]  # all words: tocsin/catalog/attachments.py
      tenants: [default]                                     # default: every tenant

A notification with `sequence: {every: 5m, until: opened}` sends its channels one after another.

`catalog/tenants/<tenant>.yaml`:

    status: active                                           # or inactive: nothing of it is sent
    categories:
      travel_alerts: {required: true, title: Travel alerts}  # an opt-out does not stop it
      flight_updates: {}
      offers: {marketing: true}
      codes: {on_unknown: drop}                              # no answer: do not send again; or ask
    preferences:                                             # of users who have not chosen
      channels: {sms: true}
      categories: {offers: {push: false}}
    limits:                                                  # left out: `DEFAULT_LIMITS`; []: none
      - {max: 5, per: 1d, scope: marketing}
      - {max: 1, per: 1m, scope: user}
      - {max: 50, per: 30d, scope: channel, channel: sms}
    quiet_hours: {start: "22:00", end: "07:00"}              # of users who have not chosen
    snooze: hold                                             # until it ends (default); drop: not sent
    windows:                                                 # hours of a channel, also for critical ones,
      sms: {start: "08:00", end: "21:00", critical: hold}    # unless `critical` is `passes`
    timezone: America/New_York                               # of users without one
    locale: en
    providers: {email: [smtp, sendgrid], sms: [twilio], push: [fcm], inapp: [inapp]}
    failover_after: {sms: 2m}                                # no receipt by then: another account sends, too
    senders: {email: hello@flights.example, email_name: Flights, sms: "+15005550006"}
    channels:                                                # further ones, and those that a team shares
      telegram: {}                                           # to `contacts: {telegram: …}` of the profile
      slack: {contact: account}                              # to the address in the account
    sms: {max_segments: 2, too_long: truncate}     # all words: tocsin/catalog/sms.py
    tracking: {opens: true, clicks: true}          # default: off. All words: tocsin/catalog/tracking.py
    segments: {german: "user.locale[:2] == 'de'"}            # whom broadcasts may be for
    broadcast_rate: 2000                                     # users a second of all its broadcasts
    correct_profiles: true                         # default: false. Receipts correct the owner's profiles
    webhooks: {orders: {url: https://shop.example/hook, secret: env:X}}  # tocsin/catalog/webhooks.py
    branding: {name: Flights, color: "#0a5", logo: https://…, address: "1 Main St", url: https://…}

`catalog/tenants/<tenant>/` has the notifications and templates of a tenant alone (`tocsin.catalog.overlays`).

`catalog/templates/<name>/<locale>/<part>.j2` are the texts. Durations are a number and one of ms, s, m, h, d.
Expressions (`when`, `expression`, all keys) are Jinja2 expressions over `data`, `event` (id, source, type,
subject, tenant, time_ms), `user` (id, known, locale, timezone, channels, platforms, apps, attributes) and
`now` (date, time, weekday, year, month, day, hour, minute, ms), the time of the decision in the user's zone.
`tocsin.catalog.variants` has the words for experiments.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag

from tocsin.catalog.attachments import AttachmentSpec
from tocsin.catalog.digests import DigestSpec
from tocsin.catalog.escalation import ChannelSequence, EscalationStep
from tocsin.catalog.limit_spec import Limit
from tocsin.catalog.scalars import STRICT, ChannelName, Duration, Priority, WholeNumber, Zone
from tocsin.catalog.sms import SmsSettings
from tocsin.catalog.times import At, ChannelWindow, QuietHours, SendWindow, at_entry
from tocsin.catalog.tracking import Tracking
from tocsin.catalog.variants import Variant
from tocsin.catalog.webhooks import WebhookSpec
from tocsin.model.locales import family
from tocsin.model.unanswered import OnUnknown

TYPES: Final = r"^[^*\s]*\*?$"
"""The pattern of `on.type`: one type of events, or the beginning of some."""
NO_TENANT: Final = "it is empty, so no tenant has this: name one, or leave `tenants` out for all"
LINK: Final = r"^(https?://[^\s<>]+)?$"
MAILBOX: Final = r"^([^\s<>@?]+@[^\s<>@?]+)?$"


def _channel_entry(value: object) -> object:
    return {"channel": value} if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = STRICT


class Trigger(_Strict):
    """Which events: a CloudEvents type (a trailing `*` matches any rest) and an optional condition."""

    type: str = Field(min_length=1, pattern=TYPES)
    when: str | None = None


class ChannelUse(_Strict):
    """One channel of a notification, with an optional condition. A bare name means no condition."""

    channel: ChannelName
    when: str | None = None


class Dedup(_Strict):
    """At most one notification per key and user in a window of event time.

    `scope` says which notifications share their keys: none with others, all of the category, or all.
    """

    key: str
    window_ms: Duration = Field(alias="window")
    scope: Literal["notification", "category", "user"] = "notification"


class NotificationSpec(_Strict):
    """One notification: which events it answers, to whom it is allowed, when and how it goes out."""

    on: Trigger
    category: str
    priority: Priority = "normal"
    channels: list[Annotated[ChannelUse, BeforeValidator(_channel_entry)]] = Field(min_length=1)
    template: str = ""
    dedup: Dedup | None = None
    limits: list[Limit] = []
    send_window: SendWindow | None = None
    delay_ms: Duration | None = Field(default=None, alias="delay")
    expires_ms: Duration | None = Field(default=None, alias="expires")
    at: Annotated[At | None, BeforeValidator(at_entry)] = None
    collapse_key: str | None = None
    cancel_key: str | None = None
    escalate: list[EscalationStep] = []
    sequence: ChannelSequence | None = None
    stop_when_seen: bool = False
    tenants: list[str] | None = None
    digest: DigestSpec | None = None
    variants: list[Variant] = []
    attachments: list[AttachmentSpec] = []


def _kind_of_text(value: object) -> str:
    return "[languages]" if isinstance(value, dict) else "[text]"


LocalText = Annotated[
    Annotated[str, Tag("[text]")] | Annotated[dict[str, str], Tag("[languages]")],
    Discriminator(_kind_of_text),
]
"""A text, or one a language: `{en: Offers, de: Angebote}`."""


def in_language(text: LocalText, *locales: str) -> str:
    """Return a text in the first of these languages that it has, else in any.

    >>> in_language({"en": "Offers", "de": "Angebote"}, "de-AT")
    'Angebote'
    """
    if isinstance(text, str):
        return text
    tags = [tag for locale in locales for tag in family(locale)]
    return next((text[tag] for tag in tags if tag in text), next(iter(text.values()), ""))


class Category(_Strict):
    """A kind of notification that users can switch. Only a required one passes an opt-out.

    `title` and `description` are what people see of it on the preference page.

    `on_unknown` says what follows a provider call without an answer: `resend` it and say so, `drop` the
    message as dead, or `ask` the provider first (`tocsin.model.unanswered`). Without it TOCSIN_ON_UNKNOWN
    decides.
    """

    required: bool = False
    marketing: bool = False
    title: LocalText = ""
    description: LocalText = ""
    on_unknown: OnUnknown | None = None


SWITCH: Final = "[switch]"
"""Marks the places at which mistakes are found where a switch is neither true nor false nor one a channel."""


def _kind_of_switch(value: object) -> str:
    return "[channels]" if isinstance(value, dict) else SWITCH


Switches = Annotated[
    Annotated[bool, Tag(SWITCH)] | Annotated[dict[ChannelName, bool], Tag("[channels]")],
    Discriminator(_kind_of_switch),
]
"""On or off, for all channels or each by its name."""


class DefaultPreferences(_Strict):
    """What holds for users who have not chosen (`tocsin.catalog.defaults`)."""

    channels: dict[ChannelName, bool] = {}
    categories: dict[str, Switches] = {}
    notifications: dict[str, Switches] = {}


class Senders(_Strict):
    """Whom messages come from, and where unsubscribing goes: an address of the gateway, and one for mails."""

    email: str = ""
    email_name: str = ""
    reply_to: str = ""
    sms: str = ""
    whatsapp: str = ""
    voice: str = ""
    unsubscribe_url: str = Field(default="", pattern=LINK)
    unsubscribe_email: str = Field(default="", pattern=MAILBOX)


class ChannelSettings(_Strict):
    """A channel of the tenant: whose address it uses.

    With `contact: account` it goes to the address in the provider account, such as a team's room. Otherwise
    each recipient has one, under `contacts` of the profile.
    """

    contact: Literal["profile", "account"] = "profile"


class Branding(_Strict):
    """What templates show of the tenant."""

    name: str = ""
    color: str = ""
    logo: str = ""
    address: str = ""
    url: str = ""


def _of_channels(value: object) -> object:
    if isinstance(value, dict) and {"start", "end"} & value.keys():
        msg = "these are the hours of no channel: name it, as in {sms: {start: …, end: …}}"
        raise ValueError(msg)
    return value


class TenantSpec(_Strict):
    """One tenant: categories, defaults and limits of its users, providers, senders and branding.

    `snooze` says what becomes of a notification while its user has snoozed. `windows` are the hours in which
    a channel may be used, whatever the notification.
    With `correct_profiles`, what receipts change about a user is written to the topic of profiles.
    """

    categories: dict[str, Category] = Field(min_length=1)
    status: Literal["active", "inactive"] = "active"
    preferences: DefaultPreferences = DefaultPreferences()
    limits: list[Limit] | None = None
    quiet_hours: QuietHours | None = None
    snooze: Literal["hold", "drop"] = "hold"
    windows: Annotated[dict[ChannelName, ChannelWindow], BeforeValidator(_of_channels)] = {}
    timezone: Zone = "UTC"
    locale: str = "en"
    providers: dict[ChannelName, list[str]] = {}
    failover_after: dict[ChannelName, Duration] = {}
    senders: Senders = Senders()
    sms: SmsSettings = SmsSettings()
    tracking: Tracking = Tracking()
    branding: Branding = Branding()
    segments: dict[str, str] = {}
    broadcast_rate: WholeNumber = Field(default=2_000, ge=1, le=1_000_000)
    correct_profiles: bool = False
    channels: dict[ChannelName, ChannelSettings] = {}
    webhooks: dict[str, WebhookSpec] = {}
