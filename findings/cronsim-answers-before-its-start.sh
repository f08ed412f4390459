#!/usr/bin/env bash
# cronsim gives a time before the one that it starts from, in an hour that comes twice.
#
# Packages: cronsim 2.8, tzdata 2026.6.
# Seen: Berlin's clock shows 02:10 twice on 25 October 2026, at 00:10 and at 01:10 UTC. Started at the second one
# (fold=1), next(CronSim("50 2 * * *", start)) is 02:50 with fold=0, which is 00:50 UTC: 20 minutes before the start. With
# fields that begin with `*` the answer is later than the start.
# Guess from memory: next() is always later than the start, also for an aware datetime. A scheduler that starts from the
# occurrence before, or from the present after a restart, would run this one again.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet cronsim==2.8 tzdata

cat >"$folder/try.py" <<'PY'
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

start = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
fixed, stepped = (next(CronSim(cron, start)).astimezone(UTC) for cron in ("50 2 * * *", "50 * * * *"))
print(f"start {start.astimezone(UTC):%H:%M} UTC, `50 2 * * *` {fixed:%d. %H:%M}, `50 * * * *` {stepped:%d. %H:%M}")
begun = start.astimezone(UTC)
if not (fixed < begun < stepped):
    sys.exit("cronsim's answer is no longer before its start")
PY
"$folder/venv/bin/python" "$folder/try.py"
