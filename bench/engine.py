"""What the engine alone carries here: `python -m bench.engine [--json] [--items N]`.

Items a second through one keyed step of Bytewax that counts, without recovery and without Tocsin, in batches
of 1,000 over 64 and over 1,000 keys. It says how fast a machine is for this kind of work, so that figures of
two machines can be compared; the figures that the targets rest on came from a machine with 3,281,000 and
1,313,000.
"""

import argparse
import json
from collections.abc import Sequence
from time import perf_counter

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from bench.reference import loop_ms

_KEYS = (64, 1_000)
_BATCH = 1_000
Entry = tuple[str, int]


class Counting(StatefulBatchLogic[int, int, int]):
    """Counts the items of one key."""

    __slots__ = ("_count",)

    def __init__(self, count: int) -> None:
        self._count = count

    def on_batch(self, values: list[int]) -> tuple[list[int], bool]:
        self._count += len(values)
        return values, False

    def snapshot(self) -> int:
        return self._count


class Ready(StatefulSourcePartition[Entry, int]):
    """Hands out batches that were made before."""

    def __init__(self, batches: list[list[Entry]]) -> None:
        self._batches = batches
        self._at = 0

    def next_batch(self) -> list[Entry]:
        if self._at == len(self._batches):
            raise StopIteration
        self._at += 1
        return self._batches[self._at - 1]

    def snapshot(self) -> int:
        return self._at


class ReadySource(FixedPartitionedSource[Entry, int]):
    """One partition of ready batches."""

    def __init__(self, batches: list[list[Entry]]) -> None:
        self._batches = batches

    def list_parts(self) -> list[str]:
        return ["all"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Ready:
        return Ready(self._batches)


class Nowhere(DynamicSink[Entry], StatelessSinkPartition[Entry]):
    """Drops what it gets."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "Nowhere":
        return self

    def write_batch(self, items: Sequence[Entry]) -> None:
        pass


def items_per_s(items: int, keys: int) -> int:
    """Run ready items through one counting step."""
    batches = [
        [(str(number % keys), number) for number in range(start, start + _BATCH)]
        for start in range(0, items, _BATCH)
    ]
    flow = Dataflow("engine")
    up = op.input("in", flow, ReadySource(batches))
    op.output("out", op.stateful_batch("count", up, lambda stored: Counting(stored or 0)), Nowhere())
    began = perf_counter()
    run_main(flow)
    return round(items / (perf_counter() - began))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--items", type=int, default=400_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report: dict[str, float] = {"reference_loop_ms": loop_ms()}
    report |= {f"items_per_s_{keys}_keys": items_per_s(options.items, keys) for keys in _KEYS}
    print(json.dumps(report) if options.json else "\n".join(f"{k:24} {v}" for k, v in report.items()))


if __name__ == "__main__":
    main()
