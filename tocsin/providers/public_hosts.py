"""Guards against requests that people make us send inside our own network (SSRF).

An endpoint of a browser and the URL of a webhook come from users. They may lead to public addresses only. The
host is resolved once, and the connection goes to the very address that was looked at: a name that answers
differently the second time gains nothing.
"""

import asyncio
import ipaddress
import socket

from tocsin.errors import About, Rejected, Transient

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL = ipaddress.ip_network("2000::/3")
"""All public addresses of IPv6. Others may be an address of IPv4 in an old form, or of a site."""


async def public_address(host: str, port: int) -> str:
    """Resolve a host to an address that may be called.

    Raises:
        Transient: the name cannot be resolved now.
        Rejected: it does not exist, or one of its addresses is not public.
    """
    failure: Transient | Rejected
    try:
        addresses = [host] if _is_address(host) else await _resolved(host, port)
    except socket.gaierror as error:
        gone = error.errno == socket.EAI_NONAME
        text = "the host of the address does not exist" if gone else "the host's name cannot be resolved now"
        failure = (Rejected if gone else Transient)(text, code="no_host", about=About.RECIPIENT)
    except UnicodeError:
        failure = Rejected("the host of the address is no name", code="no_host", about=About.RECIPIENT)
    else:
        if addresses and all(is_public(address) for address in addresses):
            return addresses[0]
        text = "the address leads into a private network"
        failure = Rejected(text, code="private_address", about=About.RECIPIENT)
    raise failure


async def _resolved(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Tell whether an IP address is reachable for everyone, whatever it is wrapped in.

    >>> is_public("93.184.215.14"), is_public("10.0.0.1"), is_public("169.254.169.254")
    (True, False, False)
    >>> is_public("::ffff:127.0.0.1"), is_public("64:ff9b::a00:1"), is_public("2002:7f00:1::")
    (False, False, False)
    >>> is_public("::10.0.0.1"), is_public("fec0::1"), is_public("2606:4700::1111")
    (False, False, True)
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo or (None, None))[1]
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found not in _GLOBAL:
            return False
    return found.is_global and not found.is_multicast
