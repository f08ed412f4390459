"""Opt-outs: what a user has switched off by a receipt, beside the profile that the owner writes.

An opt-out holds until the owner has had the last say. That is a profile of a higher version than the one in
force when the user opted out; of profiles without versions, one that says something new. What the gateway
writes for a person is no word of the owner. The user ends it with a receipt that subscribes to the category
again.
"""

from typing import Final

from tocsin.decision.user_state import UserRecord
from tocsin.model.switches import ALL_OFF, category_key

MOST: Final = 32
"""Categories that a user's record remembers; beyond it everything is off."""


def opt_out(record: UserRecord, category: str) -> bool:
    """Switch a category off, or everything if it is empty; return whether it was not off yet.

    Both are remembered: who wants everything again may not want a category that was switched off alone.
    """
    key = category_key(category) if category else ALL_OFF
    if key in {*record.switched_off, *record.opt_outs}:
        return False
    wanted = (*record.opt_outs, key)
    record.opt_outs = (ALL_OFF,) if len(wanted) > MOST else wanted
    record.opt_outs_version = record.written_version
    return True


def opt_in(record: UserRecord, category: str) -> bool:
    """End the opt-out of a category, or with `*` that of everything; return whether there was one.

    What the profile has switched off stays off.
    """
    key = ALL_OFF if category == ALL_OFF else category_key(category)
    if key not in record.opt_outs:
        return False
    record.opt_outs = tuple(one for one in record.opt_outs if one != key)
    return True


def end(record: UserRecord, version: int, *, changed: bool) -> bool:
    """End the opt-outs where a profile comes that is later than them; return whether there were any.

    Args:
        record: the user's.
        version: of the profile; 0 for none.
        changed: whether the profile says something new.
    """
    later = version > record.opt_outs_version if version else changed
    if not record.opt_outs or not later:
        return False
    record.opt_outs = ()
    return True
