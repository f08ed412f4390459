"""Lists the spellings that a profile may hold of an address that a webhook reports. Pure."""

import re

import idna

_PREFIX = re.compile(r"(?:mailto|whatsapp|sms|tel):|rfc822; *", re.IGNORECASE)
_ANGLED = re.compile(r"(?:[^<>]* )?<([^<>]*)>")
_NUMBER = re.compile(r"\+?[0-9][0-9 ().\-]{5,24}", re.ASCII)
_SIGNS = re.compile(r"[ ().\-]")


def spellings(address: str) -> tuple[str, ...]:
    """Return an address in every spelling that names the same mailbox or number, as given first.

    A provider may report a number without `+` or in groups, a domain beyond ASCII as DNS writes it, and an
    address as mail headers (`Ada <ada@…>`) and bounce reports (`rfc822;ada@…`, RFC 3464) write it.

    >>> spellings("12125550142")
    ('12125550142', '+12125550142')
    >>> spellings("ada@xn--strae-oqa.example")
    ('ada@xn--strae-oqa.example', 'ada@straße.example')
    """
    bare = _bare(address.strip())
    if _NUMBER.fullmatch(bare):
        number = _SIGNS.sub("", bare)
        return tuple(dict.fromkeys([bare, number, f"+{number.lstrip('+')}"]))
    local, at, domain = bare.rpartition("@")
    others = [f"{local}@{other}" for other in _spellings_of_domain(domain)] if at else []
    return tuple(dict.fromkeys([bare, *others]))


def _bare(address: str) -> str:
    """Take an address out of its scheme, the type that a bounce report gives it, and a display name."""
    bare = _PREFIX.sub("", address, count=1) if _PREFIX.match(address) else address
    angled = _ANGLED.fullmatch(bare)
    return (angled[1] if angled else bare).strip()


def _spellings_of_domain(domain: str) -> list[str]:
    try:
        ascii_form = idna.encode(domain, uts46=True).decode()
        return [ascii_form, idna.decode(ascii_form)]
    except (idna.IDNAError, UnicodeError):
        return []
