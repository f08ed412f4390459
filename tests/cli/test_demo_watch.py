"""When nothing is on its way any more: what may count as a proof of it."""

from tocsin.cli.demo_watch import Calm


def looked(*lags: int) -> Calm:
    """One look a second."""
    calm = Calm()
    for second, lag in enumerate(lags):
        calm.note(float(second), lag)
    return calm


def test_nothing_is_known_before_a_look_and_one_proves_no_time() -> None:
    assert looked().seconds == 0
    assert looked(0).seconds == 0


def test_looks_without_lag_prove_the_time_between_them() -> None:
    assert looked(5, 0, 0, 0).seconds == 2


def test_lag_starts_the_proof_anew() -> None:
    assert looked(0, 0, 1).seconds == 0
    assert looked(0, 0, 1, 0, 0).seconds == 1


def test_a_lag_not_measured_yet_is_no_proof() -> None:
    assert looked(-1, -1, -1).seconds == 0
