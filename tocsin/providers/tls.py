"""TLS of clients: one context for all of them, and in words why a handshake failed."""

import re
import ssl
from typing import NamedTuple

from tocsin.errors import DeliveryError, Misconfigured, Transient


def client_context(ca_pem: bytes = b"") -> ssl.SSLContext:
    """Make a context that trusts the system's roots and those in `ca_pem`.

    A server's name must be a subject alternative name of its certificate (RFC 9525); its common name does not
    count, whichever client asks.
    """
    context = ssl.create_default_context()
    context.hostname_checks_common_name = False
    if ca_pem:
        context.load_verify_locations(cadata=ca_pem.decode())
    return context


class _Cause(NamedTuple):
    """What names in a library's text mean."""

    names: tuple[str, ...]
    words: str


# Names of OpenSSL in capitals, of rustls in camel case. A person must act on each of these.
_SETTINGS = (
    _Cause(
        (
            "WRONG_VERSION_NUMBER",
            "RECORD_LAYER_FAILURE",
            "HTTP_REQUEST",
            "PACKET_LENGTH_TOO_LONG",
            "InvalidContentType",
        ),
        "the server does not speak TLS on this port; correct the port, or how the account connects",
    ),
    _Cause(
        (
            "PROTOCOL_VERSION",
            "UNSUPPORTED_PROTOCOL",
            "ProtocolVersion",
            "NotSupportTls",
            "legacy sigalg",
        ),
        "the server speaks no TLS version of ours, which are 1.2 and 1.3",
    ),
    _Cause(
        ("CERTIFICATE_REQUIRED", "CertificateRequired"),
        "the server asks for a client certificate, and an account has none",
    ),
    _Cause(
        (
            "HANDSHAKE_FAILURE",
            "NO_SHARED_CIPHER",
            "INSUFFICIENT_SECURITY",
            "HandshakeFailure",
            "InsufficientSecurity",
        ),
        "the server and we have no cipher in common, or it asks for a client certificate",
    ),
    _Cause(("UNRECOGNIZED_NAME", "UnrecognisedName"), "the server does not serve this name"),
)
_CLOSED = ("handshake eof", "UNEXPECTED_EOF", "closed (EOF)")
_UNTRUSTED = (
    _Cause(("UnknownIssuer",), "unable to get local issuer certificate"),
    _Cause(("CaUsedAsEndEntity",), "self-signed certificate, or an authority's instead of a server's"),
    _Cause(("EkuError",), "unsuitable certificate purpose"),
    _Cause(("certificate expired", "Expired"), "certificate has expired"),
    _Cause(("certificate not valid yet", "NotValidYet"), "certificate is not yet valid"),
    _Cause(("not valid for",), "the server's name is no subject alternative name of it"),
)
"""rustls's texts and OpenSSL's words for them."""


def untrusted(host: str, why: str) -> Misconfigured:
    """Make the error of a certificate that is not trusted.

    Args:
        host: the server.
        why: what the library says: OpenSSL's message, or the text of a rustls error.
    """
    words = _meaning(_UNTRUSTED, why) or _plain(why)
    return Misconfigured(f"certificate of {host}: {words}", code="certificate")


def handshake_failed(host: str, said: str) -> DeliveryError:
    """Make the error of a TLS handshake that failed for another reason than the certificate.

    What settings can cure is `Misconfigured`; all else may pass, and nothing was sent.

    Args:
        host: the server.
        said: the text of the library's error, which holds its name of the reason.
    """
    if words := _meaning(_SETTINGS, said):
        return Misconfigured(f"no TLS with {host}: {words}", code="tls")
    if any(name in said for name in _CLOSED):
        return closed_in_handshake(host)
    return Transient(f"no connection to {host}: the TLS handshake failed ({_plain(said)})", code="tls")


def closed_in_handshake(host: str) -> Transient:
    """Make the error of a connection that ended during the handshake, without a reason."""
    return Transient(f"no connection to {host}: the server closed it during the TLS handshake", code="tls")


def of_ssl_error(host: str, error: ssl.SSLError) -> DeliveryError:
    """Make the error of a handshake that Python's `ssl` ended."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return untrusted(host, error.verify_message)
    return handshake_failed(host, error.reason or str(error))


def _meaning(causes: tuple[_Cause, ...], said: str) -> str:
    return next((cause.words for cause in causes if any(name in said for name in cause.names)), "")


_NAME = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")


def _plain(said: str) -> str:
    """Write a library's text without its data structures: the last name in it, as words."""
    names = _NAME.findall(said.partition("{")[0])
    if not names:
        return said.replace("_", " ").lower() if said.isupper() else said
    words = re.findall(r"[A-Z][a-z0-9]+", names[-1])
    return " ".join([word.lower() for word in words if word not in {"Error", "Context"}])
