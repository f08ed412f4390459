#!/usr/bin/env bash
# A self-signed certificate that says "CA:TRUE", as many tools make it for a test server, works with one HTTP client
# and not with another, although both are told to trust it.
#
# Packages: pyreqwest 0.15.1 (rustls), Python 3's ssl (OpenSSL), cryptography 46.0.3.
# Seen: OpenSSL completes the handshake whether the server's own certificate is an authority or not. rustls refuses an
# authority as a server's certificate: ConnectError, "invalid peer certificate: ... CaUsedAsEndEntity". With CA:FALSE,
# and all else the same, it connects. The error is a ConnectError like that of a port nobody listens on; only its list
# of causes tells.
# Guess from memory: a certificate that the client was given as a root is trusted when the server shows it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyreqwest==0.15.1 cryptography==46.0.3

cat >"$folder/try.py" <<'PY'
import asyncio
import datetime
import http.server
import ipaddress
import ssl
import sys
import tempfile
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyreqwest.client import ClientBuilder


class Fine(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def certificate(is_authority):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test server")])
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def serve(pem, private):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.write_bytes(private + pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fine)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def by_openssl(port, pem):
    import http.client

    context = ssl.create_default_context(cadata=pem.decode())
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    connection.request("GET", "/")
    return str(connection.getresponse().status)


async def by_rustls(port, pem):
    client = ClientBuilder().add_root_certificate_pem(pem).build()
    try:
        return str((await client.get(f"https://127.0.0.1:{port}/").build().send()).status)
    except Exception as error:
        causes = " ".join(cause["message"] for cause in error.details["causes"])
        return f"{type(error).__name__}: {'CaUsedAsEndEntity' if 'CaUsedAsEndEntity' in causes else causes}"


seen = []
for is_authority in (True, False):
    pem, private = certificate(is_authority)
    port = serve(pem, private)
    seen.append((is_authority, by_openssl(port, pem), asyncio.run(by_rustls(port, pem))))
    print("CA:TRUE " if is_authority else "CA:FALSE", "OpenSSL:", seen[-1][1], " rustls:", seen[-1][2])
stated = [(True, "204", "ConnectError: CaUsedAsEndEntity"), (False, "204", "204")]
sys.exit(0 if seen == stated else "the behaviour has changed")
PY
"$folder/venv/bin/python" "$folder/try.py"
