"""Time zones, from the tzdata package alone.

Python's zoneinfo prefers the system's files, which may be years older: governments change their rules with
some weeks' notice. All shards of one release must hold a message to the same moment.
"""

from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

ZONE_DATA: Final = version("tzdata")
"""The release of the zone data, like `2026.6`, which IANA calls 2026f."""
_FOLDER: Final = files("tzdata") / "zoneinfo"
NAMES: Final = frozenset((files("tzdata") / "zones").read_text("ascii").split())
"""Every name that IANA has, old ones included."""


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
