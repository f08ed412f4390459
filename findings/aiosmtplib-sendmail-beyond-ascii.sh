#!/usr/bin/env bash
# A recipient with a letter beyond ASCII before its @, given to aiosmtplib's sendmail() with a text message, neither asks
# for SMTPUTF8 nor fails with an error of the library, and it leaves the connection unusable.
#
# Packages: aiosmtplib 5.1.3, aiosmtpd 1.4.6 (a server that offers SMTPUTF8).
# Seen: sendmail("ada@e.example", ["ädä@e.example"], "Subject: …") raises UnicodeEncodeError, which is no SMTPException,
# after MAIL was sent. RSET is not sent: the next mail on this connection, plain ASCII, gets 503 "nested MAIL command".
# send_message() with the same recipient asks for SMTPUTF8, and the server takes the mail.
# Guess from memory: sendmail() asks for SMTPUTF8 where the server offers it, or raises SMTPNotSupported and resets.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet aiosmtplib==5.1.3 aiosmtpd==1.4.6

cat >"$folder/try.py" <<'PY'
import asyncio
import socket
import sys
from email.message import EmailMessage

import aiosmtplib
from aiosmtpd.controller import Controller

TEXT = "From: ada@e.example\r\nSubject: Hi\r\n\r\nHi\r\n"


class Taken:
    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, envelope.smtp_utf8))
        return "250 OK"


async def outcome(call):
    try:
        await call
    except Exception as error:
        return error
    return None


async def tries(port):
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as smtp:
        first = await outcome(smtp.sendmail("ada@e.example", ["ädä@e.example"], TEXT))
        second = await outcome(smtp.sendmail("ada@e.example", ["ben@e.example"], TEXT))
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ada@e.example", "ädä@e.example", "Hi"
    message.set_content("Hi")
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False) as smtp:
        await smtp.send_message(message)
    return first, second


with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
taken = Taken()
server = Controller(taken, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
server.start()
try:
    first, second = asyncio.run(tries(port))
finally:
    server.stop()
print(f"sendmail beyond ASCII: {type(first).__name__}; the next mail: {second}; the server took {taken.mails}")
if not isinstance(first, UnicodeEncodeError) or isinstance(first, aiosmtplib.SMTPException):
    sys.exit("changed: sendmail() no longer raises UnicodeEncodeError for such a recipient")
if getattr(second, "code", None) != 503:
    sys.exit("changed: the connection is usable after that error")
if taken.mails != [(["ädä@e.example"], True)]:
    sys.exit("changed: send_message() no longer asks for SMTPUTF8")
PY
"$folder/venv/bin/python" "$folder/try.py"
