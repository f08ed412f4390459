"""Domains beyond ASCII as DNS and mail write them: IDNA 2008 with the mapping of UTS 46, non-transitional.

Python's own codec, which its sockets and URLs use, is IDNA 2003: it turns `straße` to `strasse`, another
domain with another owner.
"""

import re
from urllib.parse import urlsplit

import idna

_HOST = re.compile(r"(?i)^((?:https?|rediss?)://(?:[^/?#@]*@)?)([^/?#@:\[\]]+)")

_PORTS = {"http": 80, "https": 443}


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


def ascii_address(address: str) -> str:
    """Write a mail address with its domain in ASCII; the local part stays as it is.

    >>> ascii_address("post@bücher.example")
    'post@xn--bcher-kva.example'
    """
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{ascii_host(domain)}"


def ascii_url(url: str) -> str:
    """Write the host of a URL of HTTP or Redis in ASCII; everything else stays as it is.

    >>> ascii_url("https://ada@Straße.example:8443/weiß?ß")
    'https://ada@xn--strae-oqa.example:8443/weiß?ß'
    """
    return _HOST.sub(lambda found: found[1] + ascii_host(found[2]), url, count=1)


def url_host(url: str) -> str:
    """Write the `Host` of an ASCII URL: lower case, without a port that is its scheme's own.

    >>> url_host("https://Mail.example:443/v2"), url_host("http://127.0.0.1:8080/")
    ('mail.example', '127.0.0.1:8080')
    """
    parts = urlsplit(url)
    return parts.netloc.lower().removesuffix(f":{_PORTS.get(parts.scheme, '')}")


def dns_host(domain: str) -> str:
    """Write the domain of a server in ASCII.

    Raises:
        ValueError: it cannot be written so, so there can be no such server.
    """
    written = ascii_host(domain)
    if not written.isascii():
        msg = "has a domain that DNS cannot hold (IDNA 2008); correct it"
        raise ValueError(msg)
    return written
