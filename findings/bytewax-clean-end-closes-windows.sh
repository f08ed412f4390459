#!/usr/bin/env bash
# A dataflow of bytewax that ends cleanly closes its open windows, so the next run gives the same window a second time, with
# the rest of its items. A dataflow that is cut off gives each window once.
#
# Packages: bytewax 0.21.1, CPython 3.11.
# Seen: items of the minutes 1, 2 and 3, then the end of the input, then a resumed run with 4, 5, 6, 11 and 12. Tumbling
# windows of ten minutes in event time give window 0 twice, as [1, 2, 3] and as [4, 5, 6]. With an abort in place of the end
# window 0 is [1, 2, 3, 4, 5, 6], once. EventClock takes the end of the input for the end of time, also with an hour of
# wait_for_system_duration. The documentation offers a clean end and a run with more input as "continuation", and warns of
# resumed runs with SystemClock only.
# Guess from memory: recovery keeps an open window over a clean stop, and an abort is the harder case. A service that is
# stopped in order for each release splits the windows of that moment.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet bytewax==0.21.1

cat >"$folder/try.py" <<'PY'
import sys
import tempfile
from datetime import datetime, timedelta, timezone

import bytewax.operators as op
import bytewax.operators.windowing as win
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import TestingSource, TestingSink, run_main

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
CLOCK = win.EventClock(lambda minute: START + timedelta(minutes=minute), timedelta(hours=1))
WINDOWS = win.TumblingWindower(length=timedelta(minutes=10), align_to=START)


def two_runs(stop):
    """Run up to the stop, and once more on the same store; return the windows of both runs."""
    items = [1, 2, 3, stop, 4, 5, 6, 11, 12]
    found = []
    with tempfile.TemporaryDirectory() as store:
        init_db_dir(store, 1)
        for _ in range(2):
            flow = Dataflow("windows")
            stream = op.key_on("key", op.input("source", flow, TestingSource(items)), lambda _: "all")
            windows = op.map_value("bare", win.collect_window("window", stream, CLOCK, WINDOWS).down, tuple)
            op.output("sink", windows, TestingSink(found))
            run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(store))
    return [window for _, window in found]


ended, aborted = two_runs(TestingSource.EOF()), two_runs(TestingSource.ABORT())
print("clean end:", ended)
print("abort:", aborted)
if aborted != [(0, [1, 2, 3, 4, 5, 6]), (1, [11, 12])]:
    sys.exit("changed: an abort no longer keeps the open window whole")
if ended != [(0, [1, 2, 3]), (0, [4, 5, 6]), (1, [11, 12])]:
    sys.exit("changed: a clean end no longer closes the open window")
PY
"$folder/venv/bin/python" "$folder/try.py"
