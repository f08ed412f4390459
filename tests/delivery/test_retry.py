from hypothesis import given
from hypothesis import strategies as st

from tocsin.delivery.retry import Next, RetryPolicy, after_failure

PLAIN = RetryPolicy(jitter=0)


def test_schedule_is_quick_then_handed_back_then_over() -> None:
    decisions = [after_failure(PLAIN, "m", attempt, 1_000) for attempt in range(1, PLAIN.attempts + 1)]
    assert [(d.next, (d.due_ms - 1_000) / 1_000) for d in decisions[:-1]] == [
        (Next.AGAIN, 1),
        (Next.AGAIN, 5),
        (Next.HAND_BACK, 30),
        (Next.HAND_BACK, 300),
        (Next.HAND_BACK, 1_800),
        (Next.HAND_BACK, 7_200),
    ]
    assert decisions[-1].next is Next.GIVE_UP


def test_a_short_retry_after_is_waited_out_in_the_operator() -> None:
    assert after_failure(PLAIN, "m", 1, 0, retry_after_s=8) == (Next.AGAIN, 8_000)


def test_a_long_retry_after_goes_back_to_the_gate() -> None:
    assert after_failure(PLAIN, "m", 1, 0, retry_after_s=11) == (Next.HAND_BACK, 11_000)


def test_retry_after_never_shortens_the_schedule() -> None:
    assert after_failure(PLAIN, "m", 4, 0, retry_after_s=1) == (Next.HAND_BACK, 300_000)


def test_absurd_retry_after_is_bounded() -> None:
    assert after_failure(PLAIN, "m", 1, 0, retry_after_s=1e9).due_ms == 86_400_000


@given(st.text(max_size=40), st.integers(1, 6), st.integers(0, 2**41))
def test_jitter_stays_in_bounds_and_is_the_same_every_time(message: str, attempt: int, now_ms: int) -> None:
    policy = RetryPolicy(jitter=0.2)
    plain_ms = after_failure(PLAIN, message, attempt, now_ms).due_ms - now_ms
    first, second = (after_failure(policy, message, attempt, now_ms) for _ in range(2))
    assert first == second
    assert 0.8 * plain_ms - 1 <= first.due_ms - now_ms <= 1.2 * plain_ms + 1


def test_jitter_spreads_messages() -> None:
    dues = {after_failure(RetryPolicy(), f"m{i}", 1, 0).due_ms for i in range(100)}
    assert len(dues) > 80
    assert max(dues) - min(dues) > 300
