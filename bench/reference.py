"""How fast the machine is just now, so that figures of two runs or two machines can be compared.

A fixed loop of plain Python, timed before a measurement and, in a process of its own, while it lasts: on a
shared machine the same code takes twice as long once both cores have been busy for a while.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

_ROUNDS = 250_000
_PAUSE_S = 1.0


def loop_ms() -> float:
    """Time a fixed loop: some 45 ms of CPU where Python runs at its usual speed."""
    start, total = time.process_time(), 0
    for number in range(4 * _ROUNDS):
        total += number
    return round((time.process_time() - start) * 1000, 1)


class Reference:
    """Times the loop once a second while something else is measured; takes 1 to 2 % of a core.

    Attributes:
        figures: `before` and `during` (the median), in ms; complete after the end.
    """

    def __init__(self) -> None:
        self.figures = {"before": min(loop_ms() for _ in range(3))}

    def __enter__(self) -> "Reference":
        argv = [sys.executable, "-m", "bench.reference"]
        folder = Path(__file__).parent.parent
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        told, _ = self._process.communicate(timeout=30)
        if times := [float(line) for line in told.split()]:
            self.figures["during"] = round(statistics.median(times), 1)


def _repeat() -> None:
    while True:
        start, total = time.process_time(), 0
        for number in range(_ROUNDS):
            total += number
        print((time.process_time() - start) * 4_000, flush=True)
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    _repeat()
