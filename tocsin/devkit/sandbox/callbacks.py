"""Makes the webhooks that vendors post, signed as each vendor signs them.

Nothing of the gateway's own checks is used here, so that both can be held against each other.
"""

import base64
import datetime as dates
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

_FORM = "application/x-www-form-urlencoded"
_TOPIC = "arn:aws:sns:eu-west-1:000000000000:tocsin"


class Webhook(NamedTuple):
    """A request that a vendor makes: to which address, with which headers and body."""

    url: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"


class SigningKeys(NamedTuple):
    """Private keys that vendors sign with: SendGrid's, and that of SNS with its certificate."""

    sendgrid: ec.EllipticCurvePrivateKey
    sns: rsa.RSAPrivateKey
    sns_certificate: bytes

    @property
    def sendgrid_public(self) -> str:
        """Return the verification key as SendGrid shows it."""
        public = self.sendgrid.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode()


def make_keys(now: dates.datetime) -> SigningKeys:
    """Make keys; the certificate of SNS is good for a year."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.sandbox")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dates.timedelta(days=1))
        .not_valid_after(now + dates.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return SigningKeys(ec.generate_private_key(ec.SECP256R1()), key, pem)


def twilio(url: str, fields: Mapping[str, str], token: str) -> Webhook:
    """Sign a form as Twilio does: its address and its fields."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {"content-type": _FORM, "x-twilio-signature": signature}
    return Webhook(url, headers, urlencode(fields).encode())


def vonage(url: str, fields: Mapping[str, str], secret: str, now_s: float) -> Webhook:
    """Sign a delivery receipt as Vonage does with the method `sha256`.

    Args:
        url: where it is posted.
        fields: its parameters; timestamp, nonce and signature are added.
        secret: the account's signature secret.
        now_s: wall time in seconds.
    """
    dated = {**fields, "timestamp": str(int(now_s)), "nonce": secrets.token_hex(8)}
    safe = {name: value.replace("&", "_").replace("=", "_") for name, value in dated.items()}
    text = "".join(f"&{name}={safe[name]}" for name in sorted(safe))
    dated["sig"] = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest().upper()
    return Webhook(url, {"content-type": _FORM}, urlencode(dated).encode())


def sendgrid(url: str, events: Sequence[Any], key: ec.EllipticCurvePrivateKey, now_s: float) -> Webhook:
    """Sign events as SendGrid does: the timestamp and the body, whose last two bytes are CRLF.

    Args:
        url: where they are posted; it is not signed.
        events: as objects of JSON.
        key: on P-256; its public half is the account's `webhook_key`.
        now_s: wall time in seconds.
    """
    stamp, body = str(int(now_s)), json.dumps(events).encode() + b"\r\n"
    signature = key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    headers = {
        "content-type": "application/json",
        "x-twilio-email-event-webhook-timestamp": stamp,
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
    }
    return Webhook(url, headers, body)


def mailgun(url: str, event: Any, key: str, now_s: float, token: str = "") -> Webhook:
    """Sign as Mailgun does: a timestamp and a token, and nothing of the event.

    Args:
        url: where it is posted; it is not signed.
        event: as an object of JSON.
        key: the account's `webhook_key`.
        now_s: wall time in seconds.
        token: a random one unless given.
    """
    stamp, token = str(int(now_s)), token or secrets.token_hex(25)
    signature = hmac.new(key.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    signed = {"timestamp": stamp, "token": token, "signature": signature}
    body = json.dumps({"signature": signed, "event-data": event}).encode()
    return Webhook(url, {"content-type": "application/json"}, body)


def mandrill(url: str, events: Sequence[Any], key: str) -> Webhook:
    """Sign events as Mandrill does: the address of the webhook and the form."""
    fields = {"mandrill_events": json.dumps(events)}
    text = url + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {"content-type": _FORM, "x-mandrill-signature": signature}
    return Webhook(url, headers, urlencode(fields).encode())


def ses(
    url: str,
    event: Any,
    key: rsa.RSAPrivateKey,
    now_s: float,
    *,
    topic: str = _TOPIC,
    version: Literal["1", "2"] = "2",
    more: Mapping[str, str] | None = None,
) -> Webhook:
    """Sign a message of SNS.

    Args:
        url: where it is posted; it is not signed.
        event: of SES, as an object of JSON or as its text.
        key: private key of the certificate that its signature is checked with.
        now_s: wall time in seconds.
        topic: ARN of the topic.
        version: 1 signs with SHA-1, 2 with SHA-256.
        more: further fields, such as those of a confirmation.
    """
    at = dates.datetime.fromtimestamp(now_s, dates.UTC).isoformat(timespec="milliseconds")
    envelope = {
        "Type": "Notification",
        "MessageId": secrets.token_hex(16),
        "TopicArn": topic,
        "Message": event if isinstance(event, str) else json.dumps(event),
        "Timestamp": at.replace("+00:00", "Z"),
        "SignatureVersion": version,
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        **(more or {}),
    }
    names = ["Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type"]
    if envelope["Type"] == "Notification":
        names = [name for name in names if name not in ("SubscribeURL", "Token")]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope)
    method = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303 (SNS's default)
    signature = key.sign(text.encode(), padding.PKCS1v15(), method)
    envelope["Signature"] = base64.b64encode(signature).decode()
    return Webhook(url, {"content-type": "text/plain; charset=UTF-8"}, json.dumps(envelope).encode())
