"""Keys and certificates made on the spot: for servers of tests, service accounts and Apple keys."""

import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """Write a private key as PKCS#8 PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Make an RSA key, once a run."""
    return rsa.generate_private_key(65537, 2048)


@cache
def p256_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key, once a run."""
    return ec.generate_private_key(ec.SECP256R1())


SAN = x509.SubjectAlternativeName(
    [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
)
AnyKey = ec.EllipticCurvePrivateKey


def _sign(
    subject: str,
    key: AnyKey,
    issuer: str,
    signer: AnyKey,
    *extensions: x509.ExtensionType,
    days: tuple[int, int] = (-1, 1),
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


@cache
def _chain() -> tuple[bytes, bytes]:
    """Make a server's key with its certificate, and the certificate of the authority that signed it."""
    authority, server = p256_key(), ec.generate_private_key(ec.SECP256R1())
    root = _sign("Test Root", authority, "Test Root", authority)
    return pem(server).encode() + _sign("localhost", server, "Test Root", authority, SAN), root


def server_tls(*protocols: str) -> tuple[ssl.SSLContext, bytes]:
    """Make a server's TLS context for localhost, and the PEM that clients must trust."""
    server, root = _chain()
    return _context(server, *protocols), root


def faulty_tls(fault: str) -> tuple[ssl.SSLContext, bytes]:
    """Make a context whose certificate has one fault, and the PEM of the root that signed it."""
    key, authority = ec.generate_private_key(ec.SECP256R1()), p256_key()
    other = x509.SubjectAlternativeName([x509.DNSName("other.example")])
    client_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    faults: dict[str, Callable[[], bytes]] = {
        "expired": lambda: _sign("localhost", key, "Test Root", authority, SAN, days=(-5, -1)),
        "not yet valid": lambda: _sign("localhost", key, "Test Root", authority, SAN, days=(1, 5)),
        "another name": lambda: _sign("localhost", key, "Test Root", authority, other),
        "common name only": lambda: _sign("localhost", key, "Test Root", authority),
        "for clients only": lambda: _sign("localhost", key, "Test Root", authority, SAN, client_only),
        "self-signed": lambda: _sign("localhost", key, "localhost", key, SAN),
    }
    return _context(pem(key).encode() + faults[fault]()), _chain()[1]


def _context(server: bytes, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.write_bytes(server)
        context.load_cert_chain(path)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context
