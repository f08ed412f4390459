"""How fast the machine is just now, so that figures of two runs can be compared."""

import time


def loop_ms() -> float:
    """Time a fixed loop: some 45 ms of CPU where Python runs at its usual speed."""
    start, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number
    return round((time.process_time() - start) * 1000, 1)
