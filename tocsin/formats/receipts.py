"""Reads the value of a record of `receipts`: a report about a message or an address. Pure.

A receipt may be an opt-out, so a difference in spelling must not throw it away (law 3). Read as well are null
fields, an envelope of Kafka Connect, a byte order mark, and a plain address in `target`.
"""

import msgspec

from tocsin.errors import DecodeError
from tocsin.formats.addresses import spellings
from tocsin.formats.body import unwrapped
from tocsin.formats.cloudevents import BOM, decode_error
from tocsin.model.outcome import ReceiptEvent
from tocsin.model.statuses import Reason

_HASH_CHARS = 16
_decode = msgspec.json.Decoder(ReceiptEvent).decode
_decode_any = msgspec.json.Decoder().decode


def read_receipt(value: bytes | None) -> ReceiptEvent:
    """Read one receipt.

    Raises:
        DecodeError: it is no receipt, or its address is blank.
    """
    text = (value or b"").removeprefix(BOM)
    try:
        if not text.isascii():
            text.decode()
        receipt = _read(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise decode_error(error, {}) from error
    if _is_plain(receipt.target):
        named = receipt.address or receipt.target
        receipt = msgspec.structs.replace(receipt, target="", address=named)
    if receipt.address and not spellings(receipt.address)[0]:
        raise DecodeError(Reason.BAD_FIELD, "address: blank; send the address, number or device token")
    return receipt


def _read(text: bytes) -> ReceiptEvent:
    """Decode a receipt; one with nulls or in an envelope takes a second look."""
    try:
        return _decode(text)
    except msgspec.ValidationError as error:
        given = _given(text)
        if given is None:
            raise error from None
    return msgspec.convert(given, ReceiptEvent)


def _given(text: bytes) -> dict[str, object] | None:
    """Return the fields that are not null, out of an envelope; None if there are none."""
    try:
        found = unwrapped(_decode_any(text))
    except (msgspec.MsgspecError, RecursionError):
        return None
    return (
        {name: field for name, field in found.items() if field is not None} if type(found) is dict else None
    )


def _is_plain(target: str) -> bool:
    """Tell whether `target` is an address, number or device token; a hash is short and has no such signs."""
    return "@" in target or target.startswith("+") or len(target) > _HASH_CHARS
