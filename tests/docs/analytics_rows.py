"""The outcomes of one week that `docs/analytics.md` shows the figures of."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tocsin.model.outcome import Outcome

OFFERS, FLIGHTS = 200, 100


@dataclass(frozen=True)
class Week:
    """Makes the rows of the week before `now`, Monday to Sunday."""

    now: datetime
    fields: dict[str, Any] = field(default_factory=lambda: {"tenant": "default"})

    @property
    def start_ms(self) -> int:
        """Noon of Wednesday of the week."""
        today = datetime(self.now.year, self.now.month, self.now.day, tzinfo=UTC)
        wednesday = today - timedelta(days=self.now.weekday() + 7) + timedelta(days=2, hours=12)
        return int(wednesday.timestamp() * 1000)

    def rows(self) -> Iterator[Outcome]:
        """Give all outcomes of the week."""
        for number in range(OFFERS):
            yield from self._offer(number)
        for number in range(FLIGHTS):
            yield from self._flight(number)
        for number in range(40):
            yield self._row("limit", number, "suppressed", **_LIMITED)
        for number in range(25):
            yield self._row("off", number, "suppressed", **_OFF)
        for number in range(3):
            yield self._row("night", number, "held", **_NIGHT)

    def _offer(self, number: int) -> Iterator[Outcome]:
        arm = "cheerful" if number % 2 else "plain"
        version = "3fe2a1-tz2026.6" if number < OFFERS // 2 else "9c0d77-tz2026.6"
        known = {**_OFFER, "channel": "email", "variant": arm, "catalog_version": version}
        sent = {
            "provider": "sendgrid",
            "locale": "en",
            "latency_ms": 900 + number,
            "provider_ms": 40 + number,
        }
        yield self._message("offer", number, "admitted", **known)
        yield self._message("offer", number, "sent", **known, **sent)
        reported = {
            "delivered": number >= 10,
            "opened": number % (4 if arm == "plain" else 3) == 0,
            "clicked": number % 20 == 3,
            "unsubscribed": number % 33 == 7,
        }
        yield from self._receipts("offer", number, reported, _OFFER | {"channel": "email"})

    def _flight(self, number: int) -> Iterator[Outcome]:
        known = {**_FLIGHT, "channel": "sms", "catalog_version": "9c0d77-tz2026.6"}
        called = {**known, "provider": "twilio", "provider_ms": 100 + 3 * number}
        yield self._message("flight", number, "admitted", **known)
        if number < 5:
            yield self._message("flight", number, "retrying", code="503", reason="transient", **called)
        if number >= 97:
            yield self._message("flight", number, "dead", code="21211", reason="rejected", **called)
            return
        yield self._message("flight", number, "sent", latency_ms=2000 + 10 * number, locale="de", **called)
        reported = {"delivered": number % 40 != 1, "bounced": number % 40 == 1, "unsubscribed": number == 50}
        yield from self._receipts("flight", number, reported, _FLIGHT | {"channel": "sms"})

    def _receipts(
        self, kind: str, number: int, reported: dict[str, bool], known: dict[str, str]
    ) -> Iterator[Outcome]:
        for status, is_reported in reported.items():
            if is_reported:
                yield self._message(kind, number, status, **known)

    def _message(self, kind: str, number: int, status: str, **more: Any) -> Outcome:
        return self._row(kind, number, status, message_id=f"{kind}-message-{number}", **more)

    def _row(self, kind: str, number: int, status: str, **more: Any) -> Outcome:
        return Outcome(
            outcome_id=f"{kind}-{number}-{status}",
            status=status,
            user=f"user-{number}",
            notification_id=f"{kind}-{number}",
            at_ms=self.start_ms + number * 1000,
            **self.fields,
            **more,
        )


_OFFER = {"notification": "weekly_offer", "category": "marketing"}
_FLIGHT = {"notification": "flight_delayed", "category": "flight_updates"}
_LIMITED: dict[str, Any] = {
    **_OFFER,
    "reason": "limit",
    "rule": "limits",
    "detail": {"counter": "marketing per day", "limit": 5},
}
_OFF = {**_OFFER, "reason": "category_off", "rule": "preferences"}
_NIGHT = {**_OFFER, "reason": "quiet_hours", "rule": "quiet_hours"}
