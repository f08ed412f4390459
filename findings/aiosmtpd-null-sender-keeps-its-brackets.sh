#!/usr/bin/env bash
# aiosmtpd hands the empty sender of a bounce to a handler as "<>"; of every other sender it takes the brackets off.
#
# Packages: aiosmtpd 1.4.6.
# Seen: after MAIL FROM:<ada@e.example> a handler finds envelope.mail_from "ada@e.example", after MAIL FROM:<> it finds
# "<>", by SMTP and by LMTP. A test such as `if not envelope.mail_from` never sees a bounce, and a Return-Path header
# that is written with brackets becomes "<<>>", which readers of bounces do not know as the empty sender.
# Guess from memory: the empty sender is "", as it is for smtplib's sendmail() and in SMTP's own grammar.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet aiosmtpd==1.4.6

cat >"$folder/try.py" <<'PY'
import smtplib
import socket
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP


class Senders:
    def __init__(self):
        self.seen = []

    async def handle_DATA(self, server, session, envelope):
        self.seen.append(envelope.mail_from)
        return "250 OK"


class LmtpController(Controller):
    def factory(self):
        return LMTP(self.handler, **self.SMTP_kwargs)


def seen_by(controller, client):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    senders = Senders()
    server = controller(senders, hostname="127.0.0.1", port=port)
    server.start()
    try:
        with client("127.0.0.1", port) as smtp:
            for sender in ("ada@e.example", ""):
                smtp.sendmail(sender, ["ben@e.example"], "Subject: Hi\r\n\r\nHi\r\n")
    finally:
        server.stop()
    return senders.seen


for controller, client in ((Controller, smtplib.SMTP), (LmtpController, smtplib.LMTP)):
    seen = seen_by(controller, client)
    print(f"{client.__name__}: MAIL FROM:<ada@e.example>, then MAIL FROM:<>, are {seen}")
    if seen != ["ada@e.example", "<>"]:
        sys.exit("changed: aiosmtpd treats the brackets of all senders alike")
PY
"$folder/venv/bin/python" "$folder/try.py"
