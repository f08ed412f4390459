"""A real SMTP server (aiosmtpd) on 127.0.0.1 whose answers a test writes down beforehand."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, AnyStr, NamedTuple, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class SmtpFault(Enum):
    """What a server can do instead of answering."""

    DROP = "drop"
    HANG = "hang"


class Mail(NamedTuple):
    """What a client handed over."""

    sender: str
    recipients: list[str]
    options: list[str]
    content: bytes
    encrypted: bool
    login: str


Script = Mapping[str, str | SmtpFault]


class ScriptedSmtp:
    """Answers commands by `script` (`GREETING EHLO AUTH MAIL RCPT DATA END RSET`), the rest as it should be.

    A script is either one mapping, or a list with one for each connection, the last for all that follow.
    """

    def __init__(
        self,
        script: Script | list[Script] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        password: str = "",
        **options: Any,
    ) -> None:
        self._scripts = list(script) if isinstance(script, list) else [script or {}]
        self._tls = tls
        self._implicit = implicit
        self._password = password
        self._options = options
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.connections = 0
        self.open: set[asyncio.Transport] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        tls = self._tls if self._implicit else None
        self._server = await loop.create_server(self._session, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for transport in list(self.open):
            with suppress(AttributeError):  # Python 3.11.2 forgets the protocol of a TLS transport that ended
                transport.abort()  # closing waits for the peer's farewell, where it speaks TLS
        await self._server.wait_closed()
        await asyncio.sleep(0.02)

    async def handle_DATA(self, server: "_Session", session: Session, envelope: Envelope) -> str:
        """Keep the mail, then answer as scripted."""
        assert isinstance(envelope.content, bytes)
        mail = Mail(
            envelope.mail_from or "",
            list(envelope.rcpt_tos),
            list(envelope.mail_options),
            envelope.content,
            session.ssl is not None or self._implicit,
            str(session.auth_data or ""),
        )
        self.mails.append(mail)
        if await server.scripted("END"):
            return ""
        return "250 2.0.0 Ok: queued as 4F2A9C1"

    def answer(self, command: str, argument: str) -> str | SmtpFault | None:
        """Answer a command that the script does not name; None answers as it should be."""
        return None

    def _session(self) -> "_Session":
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        self.connections += 1
        return _Session(
            self,
            script,
            tls_context=None if self._implicit else self._tls,
            authenticator=self._check if self._password else None,
            hostname="localhost",
            loop=asyncio.get_running_loop(),
            **self._options,
        )

    def _check(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        good = data.password == self._password.encode()
        return AuthResult(success=good, handled=False, auth_data=data.login.decode())


class _Session(SMTP):
    def __init__(self, owner: ScriptedSmtp, script: Script, **options: Any) -> None:
        super().__init__(owner, **options)
        self._owner = owner
        self._script = script
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._owner.open.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._owner.open.discard(self.transport)
        super().connection_lost(error)

    async def scripted(self, command: str, argument: str = "") -> bool:
        """Do what the script says about a command; tell whether it said anything."""
        self._owner.commands.append(command)
        step = self._script.get(command) or self._owner.answer(command, argument)
        if isinstance(step, str):
            await super().push(step)
        elif step is SmtpFault.DROP:
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
        elif step is SmtpFault.HANG:
            await asyncio.sleep(60)
        return step is not None

    async def push(self, status: AnyStr) -> None:
        if not self._greeted:
            self._greeted = True
            if await self.scripted("GREETING"):
                return
        if status:
            await super().push(status)

    async def smtp_EHLO(self, arg: str) -> None:
        if not await self.scripted("EHLO"):
            await super().smtp_EHLO(arg)

    async def smtp_AUTH(self, arg: str) -> None:
        if not await self.scripted("AUTH"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str) -> None:
        if not await self.scripted("MAIL"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:
        if not await self.scripted("RCPT", arg):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if not await self.scripted("DATA"):
            await super().smtp_DATA(arg)

    async def smtp_RSET(self, arg: str) -> None:
        if not await self.scripted("RSET"):
            await super().smtp_RSET(arg)
