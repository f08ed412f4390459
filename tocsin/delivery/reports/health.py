"""When an endpoint is tried again, and when it is given up. Pure: time is passed in."""

from enum import Enum
from typing import Final

from tocsin.errors import DeliveryError, RecipientGone

FIRST_WAIT_MS: Final = 1_000
MOST_WAIT_MS: Final = 600_000
"""Ten minutes: an endpoint that is back gets its reports within that."""
MOST_REFUSALS: Final = 8
"""A report that was refused so often, while others were taken, is dropped: it would hold those behind it."""


class Verdict(Enum):
    """What follows a failed post."""

    RETRY = "retry"
    """The report is posted again later, before those behind it."""
    DROP = "drop"
    """This report is given up: the endpoint takes others."""
    SWITCH_OFF = "switch_off"
    """The endpoint is: it wants no more, or has taken nothing for too long."""


class Trial:
    """The attempts at one report.

    Attributes:
        first_ms: when the first failed.
        failures: how many failed.
        again_ms: when the next one is due.
    """

    def __init__(self) -> None:
        self.first_ms = self.again_ms = 0
        self.failures = 0


class Health:
    """What is known of an endpoint.

    >>> health, trial = Health(give_up_ms=60_000), Trial()
    >>> health.failed(trial, DeliveryError("HTTP 500"), 1_000), health.again_ms
    (<Verdict.RETRY: 'retry'>, 2000)
    >>> health.failed(trial, DeliveryError("HTTP 500"), 61_000)
    <Verdict.SWITCH_OFF: 'switch_off'>
    """

    def __init__(self, give_up_ms: int, failing_ms: int = 0) -> None:
        """Know nothing yet, or that it was failing before.

        Args:
            give_up_ms: how long it may take nothing.
            failing_ms: since when it has taken nothing; 0 if the last post was taken.
        """
        self._give_up_ms = give_up_ms
        self._failures = 0
        self._taken_ms = 0
        self.failing_ms = failing_ms
        self.again_ms = 0
        self.error = ""

    @property
    def is_failing(self) -> bool:
        """Whether the last post failed."""
        return bool(self.failing_ms)

    def taken(self, now_ms: int) -> None:
        """Note that a report was taken."""
        self._failures = self.failing_ms = self.again_ms = 0
        self._taken_ms = now_ms
        self.error = ""

    def failed(self, trial: Trial, error: DeliveryError, now_ms: int) -> Verdict:
        """Note that a post failed; `again_ms` says when the next one is due."""
        trial.first_ms = trial.first_ms or now_ms
        trial.failures += 1
        self.error = str(error)
        if trial.failures >= MOST_REFUSALS and self._taken_ms > trial.first_ms:
            return Verdict.DROP
        self.failing_ms = self.failing_ms or now_ms
        if now_ms >= self.again_ms:  # posts that were in flight together fail together
            self._failures += 1
        if isinstance(error, RecipientGone) or now_ms - self.failing_ms >= self._give_up_ms:
            return Verdict.SWITCH_OFF
        asked_ms = round((error.retry_after_s or 0) * 1_000)
        self.again_ms = now_ms + max(_wait_ms(self._failures), min(asked_ms, MOST_WAIT_MS))
        trial.again_ms = now_ms + _wait_ms(trial.failures)
        return Verdict.RETRY


def _wait_ms(failures: int) -> int:
    """Double the wait with each failure."""
    return min(MOST_WAIT_MS, FIRST_WAIT_MS << min(failures - 1, 20))
