"""Whether a process's memory grows."""

from collections.abc import Sequence
from typing import NamedTuple

_WARM_UP_SHARE, _WARM_UP_S = 0.4, 150.0
_LEAST_S = 120.0  # a slope over less says nothing
MOST_MB_A_MINUTE = 2.0


class Sample(NamedTuple):
    """Resident memory at a time since the start, and the part of it that the state store says it keeps.

    The store fills write buffers and a block cache up to bounds that a run of ten minutes does not reach:
    with buffers of 16 MB the one grows, with those of 1 MB the other.
    """

    at_s: float
    mb: float
    store_mb: float = 0.0


class Growth(NamedTuple):
    """How a process's memory went after its warm-up.

    `mb_a_minute` leaves out what its store keeps, and is None where it ran too shortly.
    """

    first_mb: float
    last_mb: float
    peak_mb: float
    store_mb: float
    watched_s: float
    mb_a_minute: float | None

    @property
    def flat(self) -> bool:
        """Tell whether it does not grow, as far as is known."""
        return self.mb_a_minute is None or self.mb_a_minute <= MOST_MB_A_MINUTE


def growth(samples: Sequence[Sample]) -> Growth:
    """Judge one life of a process.

    >>> growth([Sample(s, 100 + s / 60) for s in range(400)]).mb_a_minute
    1.0
    """
    if not samples:
        return Growth(0.0, 0.0, 0.0, 0.0, 0.0, None)
    began_s, ended_s = samples[0].at_s, samples[-1].at_s
    warm_s = began_s + min(_WARM_UP_S, (ended_s - began_s) * _WARM_UP_SHARE)
    after = [sample for sample in samples if sample.at_s >= warm_s]
    watched_s = after[-1].at_s - after[0].at_s
    slope = _slope(after) * 60 if watched_s >= _LEAST_S else None
    peak_mb = max(sample.mb for sample in samples)
    rounded = None if slope is None else round(slope, 3)
    return Growth(after[0].mb, after[-1].mb, peak_mb, after[-1].store_mb, watched_s, rounded)


def _slope(samples: Sequence[Sample]) -> float:
    """Fit a line by least squares."""
    mean_s = sum(sample.at_s for sample in samples) / len(samples)
    mean_mb = sum(sample.mb - sample.store_mb for sample in samples) / len(samples)
    over = sum((sample.at_s - mean_s) ** 2 for sample in samples)
    return sum((each.at_s - mean_s) * (each.mb - each.store_mb - mean_mb) for each in samples) / over
