#!/usr/bin/env bash
# Babel calls Ireland's winter time "Irish Standard Time" and its summer time "Greenwich Mean Time": the wrong way round.
#
# Packages: babel 2.19.0, tzdata 2026.6, CPython's zoneinfo.
# Seen: format_time() with "full" and en_IE writes 12:00 UTC of 15 January 2026 in Europe/Dublin as "12:00:00 Irish Standard
# Time", and of 15 July as "13:00:00 Greenwich Mean Time"; with "long" it is IST and GMT. tzname() of the same datetimes is
# right: GMT, then IST. London is right. tzdata counts Ireland's winter as a saving of minus one hour, so dst() is not zero
# in winter, and zero in summer. Babel takes CLDR's name of the summer for every dst() that is not zero.
# Guess from memory: a library that takes its names from CLDR names a zone as ICU and browsers do.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet babel==2.19.0 tzdata==2026.6

cat >"$folder/try.py" <<'PY'
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from babel.dates import format_time

WINTER, SUMMER = (datetime(2026, month, 15, 12, tzinfo=UTC) for month in (1, 7))


def named(zone):
    """Return what Babel and tzdata call the zone, in winter and in summer."""
    names = []
    for moment in (WINTER, SUMMER):
        local = moment.astimezone(ZoneInfo(zone))
        names.append((format_time(local, "full", locale="en_IE"), local.tzname()))
    return names


dublin, london = named("Europe/Dublin"), named("Europe/London")
print("Dublin:", dublin)
print("London:", london)
if london != [("12:00:00 Greenwich Mean Time", "GMT"), ("13:00:00 British Summer Time", "BST")]:
    sys.exit("changed: Babel names London's time in another way")
if dublin != [("12:00:00 Irish Standard Time", "GMT"), ("13:00:00 Greenwich Mean Time", "IST")]:
    sys.exit("changed: Babel or tzdata names Dublin's time in another way")
PY
PYTHONTZPATH="" "$folder/venv/bin/python" "$folder/try.py"
