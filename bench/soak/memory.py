"""Whether a process's memory grows."""

from collections.abc import Sequence
from typing import NamedTuple

_WARM_UP_SHARE, _WARM_UP_S = 0.4, 150.0
_LEAST_S = 120.0  # a slope over less says nothing
MOST_MB_A_MINUTE = 2.0
STORED_KB_AN_EVENT = 1.2
"""What the gate's store keeps of an event in memory until a write buffer of 16 MB is full, which a run of ten
minutes does not fill. No leak: of 200,000 events in `bench.decide` the first half took 38 MB, the other 8.
"""


class Sample(NamedTuple):
    """Resident memory at a time since the start."""

    at_s: float
    mb: float


class Growth(NamedTuple):
    """How a process's memory went after its warm-up; `mb_a_minute` is None where it ran too shortly."""

    first_mb: float
    last_mb: float
    peak_mb: float
    watched_s: float
    mb_a_minute: float | None

    def flat(self, stored_mb_a_minute: float = 0.0) -> bool:
        """Tell whether it grows by no more than it stores, as far as is known."""
        return self.mb_a_minute is None or self.mb_a_minute <= MOST_MB_A_MINUTE + stored_mb_a_minute


def growth(samples: Sequence[Sample]) -> Growth:
    """Judge one life of a process.

    >>> growth([Sample(s, 100 + s / 60) for s in range(400)]).mb_a_minute
    1.0
    """
    began_s, ended_s = samples[0].at_s, samples[-1].at_s
    warm_s = began_s + min(_WARM_UP_S, (ended_s - began_s) * _WARM_UP_SHARE)
    after = [sample for sample in samples if sample.at_s >= warm_s]
    watched_s = after[-1].at_s - after[0].at_s
    slope = _slope(after) * 60 if watched_s >= _LEAST_S else None
    peak_mb = max(sample.mb for sample in samples)
    return Growth(after[0].mb, after[-1].mb, peak_mb, watched_s, None if slope is None else round(slope, 3))


def _slope(samples: Sequence[Sample]) -> float:
    """Fit a line by least squares."""
    mean_s = sum(sample.at_s for sample in samples) / len(samples)
    mean_mb = sum(sample.mb for sample in samples) / len(samples)
    over = sum((sample.at_s - mean_s) ** 2 for sample in samples)
    return sum((sample.at_s - mean_s) * (sample.mb - mean_mb) for sample in samples) / over
