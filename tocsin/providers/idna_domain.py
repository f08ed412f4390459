"""Domains beyond ASCII as DNS and mail write them: IDNA 2008 with the mapping of UTS 46, non-transitional.

Python's own codec is IDNA 2003: it turns `straße` to `strasse`, another domain with another owner.
"""

import idna


def ascii_host(domain: str) -> str:
    """Write a domain in ASCII; one that cannot be written so comes back as it is.

    >>> ascii_host("Straße.example"), ascii_host("βόλος.example"), ascii_host("mail.example")
    ('xn--strae-oqa.example', 'xn--nxasmm1c.example', 'mail.example')
    """
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True, transitional=False).decode()
    except UnicodeError:
        return domain
