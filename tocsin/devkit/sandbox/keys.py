"""Makes the key pairs that Google and Apple hand out, once, in the sandbox's folder."""

import ipaddress
import json
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import NameOID

from tocsin.devkit.sandbox import callbacks

FCM_FILE, APNS_FILE, VAPID_FILE = "fcm-service-account.json", "apns.p8", "vapid.pem"
CERT_FILE, CERT_KEY_FILE = "tls-cert.pem", "tls-key.pem"
SENDGRID_KEY_FILE, SENDGRID_PUBLIC_FILE = "sendgrid-webhook.pem", "sendgrid-webhook.pub"
SNS_KEY_FILE, SNS_CERT_FILE = "sns-key.pem", "sns-cert.pem"
PROJECT = "tocsin-sandbox"
APNS_KEY_ID, APNS_TEAM_ID = "TOCSIN0KEY", "TOCSINTEAM"
AWS_REGION = "eu-west-1"
AWS_KEY_ID, AWS_SECRET = "AKIDTOCSINSANDBOX000", "tocsin/sandbox/secret"
HOOK_SECRET = "whsec_dG9jc2luIHNhbmRib3ggc2VjcmV0IG9mIGhvb2tz"  # noqa: S105  # of nobody
_YEAR = timedelta(days=365)


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Write whole or not at all; readable by the owner only."""
    draft = path.with_suffix(".new")
    draft.write_bytes(data)
    draft.chmod(0o600)
    os.replace(draft, path)


def service_account(folder: Path, token_uri: str) -> rsa.RSAPublicKey:
    """Make or reread Google's service account file, and give the key that its assertions are verified with.

    The file always names the present address of the sandbox's token endpoint.
    """
    path = folder / FCM_FILE
    if path.exists():
        account = json.loads(path.read_bytes())
    else:
        key = rsa.generate_private_key(65537, 2048)
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "5a4db0c0ffee5a4db0c0ffee5a4db0c0ffee5a4d",
            "private_key": _pem(key).decode(),
            "client_email": f"sandbox@{PROJECT}.iam.gserviceaccount.com",
            "client_id": "100000000000000000000",
        }
    _write(path, json.dumps({**account, "token_uri": token_uri}, indent=2).encode())
    private = serialization.load_pem_private_key(account["private_key"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return private.public_key()


def signing_key(folder: Path) -> ec.EllipticCurvePublicKey:
    """Make or reread Apple's .p8 file, and give the key that provider tokens are verified with."""
    return _p256(folder / APNS_FILE)


def application_server_key(folder: Path) -> ec.EllipticCurvePublicKey:
    """Make or reread the VAPID key that the subscriptions of invented browsers are bound to."""
    return _p256(folder / VAPID_FILE)


def webhook_keys(folder: Path) -> callbacks.SigningKeys:
    """Make or reread what SendGrid and SNS sign webhooks with; accounts need the files written beside it."""
    path = folder / SENDGRID_KEY_FILE
    if not path.exists():
        made = callbacks.make_keys(datetime.now(UTC))
        _write(folder / SNS_KEY_FILE, _pem(made.sns))
        _write(folder / SNS_CERT_FILE, made.sns_certificate)
        _write(folder / SENDGRID_PUBLIC_FILE, made.sendgrid_public.encode())
        _write(path, _pem(made.sendgrid))
    sendgrid = serialization.load_pem_private_key(path.read_bytes(), None)
    sns = serialization.load_pem_private_key((folder / SNS_KEY_FILE).read_bytes(), None)
    assert isinstance(sendgrid, ec.EllipticCurvePrivateKey)
    assert isinstance(sns, rsa.RSAPrivateKey)
    return callbacks.SigningKeys(sendgrid, sns, (folder / SNS_CERT_FILE).read_bytes())


def _p256(path: Path) -> ec.EllipticCurvePublicKey:
    if not path.exists():
        _write(path, _pem(ec.generate_private_key(ec.SECP256R1())))
    private = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private.public_key()


def tls_context(folder: Path, *protocols: str) -> ssl.SSLContext:
    """Build a server context with the certificate of the folder, offering the protocols."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate(folder))
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make or reuse a certificate for localhost that is its own root; give the files of it and its key."""
    cert_path, key_path = folder / CERT_FILE, folder / CERT_KEY_FILE
    if cert_path.exists() and key_path.exists():
        return cert_path, key_path
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tocsin sandbox")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEAR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _pem(key))
    _write(cert_path, cert.public_bytes(serialization.Encoding.PEM))
    return cert_path, key_path
