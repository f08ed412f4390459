"""Time zones, from the tzdata package alone.

Python's zoneinfo prefers the system's files, which may be years older: governments change their rules with
some weeks' notice. All shards of one release must hold a message to the same moment.
"""

import difflib
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

ZONE_DATA: Final = version("tzdata")
"""The release of the zone data, like `2026.6`, which IANA calls 2026f."""
_FOLDER: Final = files("tzdata") / "zoneinfo"
NAMES: Final = frozenset((files("tzdata") / "zones").read_text("ascii").split()) - {"Factory"}
"""Every name that IANA has, old ones included; not `Factory`, which says that nobody has chosen a zone."""

_SPELLED: Final = {name.lower(): name for name in NAMES}
_ALIKE: Final = 0.8
# Names that IANA never had, but people and other systems write: cities of one zone only.
_ALIASES: Final = {
    "asia/beijing": "Asia/Shanghai",
    "asia/peking": "Asia/Shanghai",
    "asia/shenzhen": "Asia/Shanghai",
    "asia/mumbai": "Asia/Kolkata",
    "asia/new_delhi": "Asia/Kolkata",
    "asia/delhi": "Asia/Kolkata",
    "asia/bangalore": "Asia/Kolkata",
    "asia/hanoi": "Asia/Ho_Chi_Minh",
    "asia/astana": "Asia/Almaty",
    "america/san_francisco": "America/Los_Angeles",
    "america/washington": "America/New_York",
    "america/boston": "America/New_York",
    "america/miami": "America/New_York",
    "europe/munich": "Europe/Berlin",
    "europe/frankfurt": "Europe/Berlin",
    "europe/hamburg": "Europe/Berlin",
    "europe/geneva": "Europe/Zurich",
    "europe/milan": "Europe/Rome",
    "europe/barcelona": "Europe/Madrid",
    "z": "UTC",
}


@lru_cache(1024)
def resolve(name: str) -> str:
    """Return the IANA name that a text means, whatever its case and outer spaces; empty if it names no zone.

    `UTC+3` names none: POSIX reads it as three hours behind UTC, people as three hours ahead.

    >>> resolve("america/new_york"), resolve("Asia/Beijing"), resolve("UTC+3"), resolve("Mars/Olympus")
    ('America/New_York', 'Asia/Shanghai', '', '')
    """
    if name in NAMES:
        return name
    spelled = name.strip().lower()
    return _SPELLED.get(spelled) or _ALIASES.get(spelled, "")


def meant(name: str) -> str:
    """Return the IANA name that is written most like a text that is none; empty if there is no such name.

    >>> meant("europe/berlin"), meant("Berlin"), meant("Europe/Berln"), meant("Mars/Olympus")
    ('Europe/Berlin', 'Europe/Berlin', 'Europe/Berlin', '')
    """
    city = name.strip().lower().replace(" ", "_")
    cities = sorted(full for short, full in _SPELLED.items() if short.rpartition("/")[2] == city)
    alike = difflib.get_close_matches(name, sorted(NAMES), 1, _ALIKE)
    return resolve(name) or next(iter([*cities, *alike]), "")


@lru_cache(1024)
def zone(name: str) -> ZoneInfo | None:
    """Return the time zone of an IANA name, spelled as IANA does; None if there is none.

    >>> zone("Europe/Vienna"), zone("europe/vienna"), zone("../passwd")
    (zoneinfo.ZoneInfo(key='Europe/Vienna'), None, None)
    """
    if name not in NAMES:
        return None
    with _FOLDER.joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
