#!/usr/bin/env bash
# A Bytewax flow whose source has just found nothing stands still while the wall clock, set back, catches up.
#
# Packages: bytewax 0.21.1, libfaketime 3.0.1 (a wheel with the library that gives a process a clock of its own; Linux).
# Seen: a source returns an empty batch 400 times, and is polled about once a millisecond. After 200 polls the wall clock is set back by
# five seconds, as by a step of NTP. The next poll comes five seconds later, and the flow does nothing in between: Bytewax keeps the
# moment of the next poll as a wall time. Elapsed time is not its measure. A source that returns items is polled on.
# Guess from memory: pauses of a stream processor are lengths of time, so that a wall clock which is set changes none of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet bytewax==0.21.1 libfaketime==3.0.1

cat >"$folder/try.py" <<'PY'
import os
import sys
import time
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.testing import TestingSink, run_main

BACK_S = 5
POLLS = 400
clock = Path(os.environ["FAKETIME_TIMESTAMP_FILE"])
items = int(sys.argv[1])
polls = []


class Partition(StatelessSourcePartition):
    def next_batch(self):
        polls.append(time.monotonic())
        if len(polls) == POLLS // 2:
            before = time.time()
            clock.write_text(f"-{BACK_S}s")
            assert time.time() < before, "the wall clock was not set back"
        if len(polls) == POLLS:
            raise StopIteration
        return [0] * items


class Source(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        return Partition()


clock.write_text("+0s")
flow = Dataflow("clock")
op.output("out", op.input("in", flow, Source()), TestingSink([]))
run_main(flow)
gaps = [later - earlier for earlier, later in zip(polls, polls[1:])]
print(f"{items} items a batch: the longest gap between two polls took {max(gaps):.1f} s, at poll {gaps.index(max(gaps)) + 1} of {POLLS}")
stands = BACK_S - 1 < max(gaps) < BACK_S + 1
sys.exit(0 if stands == (items == 0) else "the behaviour has changed")
PY
library=$(find "$folder/venv" -name 'libfaketime.so.1' | head -1)
for items in 0 1; do
  env LD_PRELOAD="$library" FAKETIME_TIMESTAMP_FILE="$folder/clock" FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 \
    "$folder/venv/bin/python" "$folder/try.py" "$items"
done
