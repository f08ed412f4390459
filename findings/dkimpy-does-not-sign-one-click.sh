#!/usr/bin/env bash
# dkimpy signs List-Unsubscribe and leaves List-Unsubscribe-Post out, so one click unsubscribes nobody. Nodemailer signs both.
#
# Packages: dkimpy 1.1.8 with cryptography 46.0.3 (makes the key), nodemailer 10.6.1 (npm).
# Seen: a mail with both headers is signed without a list of headers. In the h= of dkimpy's signature are list-unsubscribe and ten others,
# not list-unsubscribe-post. Its list of headers is that of RFC 4871 and 6376, and older than one-click unsubscribe. The signature is
# valid. RFC 8058 wants both headers covered by a valid signature, and mailbox providers that keep to it show no button.
# Guess from memory: a signer whose list has List-Unsubscribe has its other half too. A mail that passes DKIM passes for one click.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet dkimpy==1.1.8 cryptography==46.0.3
npm install --silent --no-audit --no-fund --prefix "$folder" nodemailer@10.6.1 >/dev/null

cat >"$folder/try.py" <<'PY'
import base64
import re
import subprocess
import sys
from pathlib import Path

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

MAIL = b"""From: news@e.example
To: ada@e.example
Subject: Hi
Date: Sun, 29 Nov 2026 10:00:00 +0000
Message-ID: <1@e.example>
MIME-Version: 1.0
Content-Type: text/plain
List-Unsubscribe: <https://e.example/u/1>
List-Unsubscribe-Post: List-Unsubscribe=One-Click

Hi
""".replace(b"\n", b"\r\n")
PAIR = ("list-unsubscribe", "list-unsubscribe-post")

key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
Path(sys.argv[1], "key.pem").write_bytes(pem)


def covered(mail):
    """Say which of the two headers the signature of a mail covers."""
    names = re.search(rb"\bh=([^;]+);", mail)[1].decode().lower()
    return [name in re.split(r"[\s:]+", names) for name in PAIR]


signed = dkim.sign(MAIL, b"s", b"e.example", pem) + MAIL
valid = dkim.verify(signed, dnsfunc=lambda *_, **__: b"v=DKIM1; k=rsa; p=" + public)
other = subprocess.run(["node", "try.js"], cwd=sys.argv[1], check=True, capture_output=True).stdout
print(f"{PAIR}: dkimpy covers {covered(signed)}, valid {valid}; nodemailer covers {covered(other)}")
if (covered(signed), valid, covered(other)) != ([True, False], True, [True, True]):
    sys.exit("the behaviour has changed")
PY
cat >"$folder/try.js" <<'JS'
const mailer = require("nodemailer").createTransport({
  streamTransport: true,
  buffer: true,
  dkim: { domainName: "e.example", keySelector: "s", privateKey: require("fs").readFileSync("key.pem", "utf8") },
});
const headers = { "List-Unsubscribe": "<https://e.example/u/1>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click" };
mailer
  .sendMail({ from: "news@e.example", to: "ada@e.example", subject: "Hi", text: "Hi", headers })
  .then((sent) => process.stdout.write(sent.message));
JS
"$folder/venv/bin/python" "$folder/try.py" "$folder"
