"""The texts of profiles of one key group, in rows of their own in its store, and the corrections of them.

Most tenants do not ask for corrections. Their users' records say that there is no text, so none is looked up.
"""

from collections.abc import Iterator

import msgspec

from tocsin.decision import corrections
from tocsin.decision.effects import Decision
from tocsin.decision.user_state import UserRecord
from tocsin.formats.profile_corrections import (
    ERASED,
    NO_TEXT,
    Correction,
    ProfileText,
    corrected_from,
    record_of,
)
from tocsin.formats.profiles import ProfileChange
from tocsin.model.raw import OutRecord, RawRecord
from tocsin.store.key_group import KeyGroup

_ROW = "text"
"""Names the row beside the user; no timer has this id."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ProfileText).decode


class Corrections:
    """Keeps texts of profiles and writes corrected ones.

    Args:
        key_group: its store.
        partition: its partition, in which the topic of profiles has these users too.
    """

    def __init__(self, key_group: KeyGroup[UserRecord], partition: int) -> None:
        self._key_group = key_group
        self._partition = partition

    def apply(self, user_key: str, decision: Decision) -> Iterator[OutRecord]:
        """Keep the text that a decision names, and write its correction."""
        if decision.profile_text is not None:
            self._keep(user_key, decision.profile_text)
        if decision.correction is not None:
            yield from self.correct(user_key, decision.correction)

    def correct(self, user_key: str, correction: Correction) -> Iterator[OutRecord]:
        """Write a corrected profile, unless the newest text says all of that already."""
        known = self._known(user_key)
        changed = corrections.apply(known, correction) if known is not None else None
        if changed is not None:
            self._keep(user_key, changed)
            yield self._record(user_key, changed)

    def on_own(
        self, user_key: str, record: UserRecord | None, change: ProfileChange, raw: RawRecord
    ) -> tuple[Decision | None, list[OutRecord]]:
        """Decide a correction of our own that is read, with the record that sets the topic right.

        Without a decision, the record is a profile like others.
        """
        found = None
        if raw.headers and corrected_from(raw):
            found = corrections.on_own_correction(record, change, self._known(user_key), raw)
        if found is None:
            return None, []
        if found.rewrite is not None:
            self._keep(user_key, found.rewrite)
            return found.decision, [self._record(user_key, found.rewrite)]
        return found.decision, [self._record(user_key, ERASED)] if found.erase else []

    def _known(self, user_key: str) -> ProfileText | None:
        row = self._key_group.kept(user_key, _ROW, 0)
        return None if row is None else _decode(row)

    def _keep(self, user_key: str, text: ProfileText) -> None:
        if text is NO_TEXT:
            self._key_group.take_kept(user_key, _ROW)
        elif text != self._known(user_key):
            self._key_group.keep(user_key, _ROW, 0, _encode(text))

    def _record(self, user_key: str, text: ProfileText) -> OutRecord:
        return record_of(text, self._partition, user_key.encode())
