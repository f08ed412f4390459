"""Lists the spellings that a profile may hold of an address that a webhook reports. Pure."""

import idna

_PREFIXES = ("mailto:", "whatsapp:", "sms:", "tel:")


def spellings(address: str) -> tuple[str, ...]:
    """Return an address in every spelling that names the same mailbox or number, as given first.

    A provider may report a number without `+`, and a domain beyond ASCII as DNS writes it.

    >>> spellings("12125550142")
    ('12125550142', '+12125550142')
    >>> spellings("ada@xn--strae-oqa.example")
    ('ada@xn--strae-oqa.example', 'ada@straße.example')
    """
    bare = address.strip()
    for prefix in _PREFIXES:
        bare = bare.removeprefix(prefix)
    if bare.isascii() and bare.isdigit():
        return bare, f"+{bare}"
    local, at, domain = bare.rpartition("@")
    others = [f"{local}@{other}" for other in _spellings_of_domain(domain)] if at else []
    return tuple(dict.fromkeys([bare, *others]))


def _spellings_of_domain(domain: str) -> list[str]:
    try:
        ascii_form = idna.encode(domain, uts46=True).decode()
        return [ascii_form, idna.decode(ascii_form)]
    except (idna.IDNAError, UnicodeError):
        return []
