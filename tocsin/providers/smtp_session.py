"""SMTP connections: opened, logged in, used for many mails, and given back (RFC 5321, 3207, 4954)."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)
from aiosmtplib.errors import SMTPAuthenticationError, SMTPConnectError

from tocsin.errors import DeliveryError, Misconfigured, Transient
from tocsin.providers.smtp_stages import SmtpStage
from tocsin.providers.tls import client_context, of_ssl_error


class SmtpPolicy(msgspec.Struct, frozen=True):
    """How sessions are made.

    Attributes:
        security: `starttls` (587), `tls` from the first byte (465), or `plain`.
        ca: further root certificates, PEM text.
        ehlo_name: how we name ourselves; empty for this machine's name.
        max_mails: mails over one connection before it is closed; many servers cut at 100.
        idle_s: a connection unused for longer is not trusted any more.
    """

    host: str
    port: int
    security: str = "starttls"
    username: str = ""
    password: str = ""
    ca: str = ""
    ehlo_name: str = ""
    max_connections: int = 16
    max_mails: int = 100
    idle_s: float = 30
    connect_timeout_s: float = 10


class SmtpRefusal(Exception):
    """The server answered with a code other than the one hoped for; the session still works."""

    def __init__(self, stage: SmtpStage, code: int, text: str) -> None:
        super().__init__(f"{code} at {stage.value}")
        self.stage = stage
        self.code = code
        self.text = text


class SmtpCut(Exception):
    """The connection broke or the time ran out at `stage`."""

    def __init__(self, stage: SmtpStage) -> None:
        super().__init__(f"cut off at {stage.value}")
        self.stage = stage


class SmtpSession:
    """One connection. Every step raises `SmtpRefusal` or `SmtpCut`, with its stage."""

    def __init__(self, client: SMTP, now_s: float) -> None:
        self._client = client
        self._mails = 0
        self._used_s = now_s

    def fit(self, policy: SmtpPolicy, now_s: float) -> bool:
        """Tell whether it may carry another mail."""
        fresh = now_s - self._used_s < policy.idle_s
        return fresh and self._mails < policy.max_mails and self._client.is_connected

    def offers(self, extension: str) -> bool:
        """Tell whether the server's EHLO, the last one, named this extension."""
        return self._client.supports_extension(extension)

    def max_bytes(self) -> int:
        """Tell the largest mail the server takes (SIZE); 0 if it does not say."""
        size = self._client.esmtp_extensions.get("size", "")
        return int(size) if size.isascii() and size.isdigit() else 0

    async def command(
        self, stage: SmtpStage, line: str, deadline_s: float, *, hoped: int = 2
    ) -> SMTPResponse:
        """Send one command line and wait for its answer.

        Args:
            stage: names the command in errors.
            line: without its line end.
            deadline_s: on the clock of the loop.
            hoped: first digit of the answer that is no refusal.

        Raises:
            SmtpCut: no answer in time, the connection ended, or the answer is not SMTP.
            SmtpRefusal: the answer begins with another digit.
        """
        left_s = deadline_s - asyncio.get_running_loop().time()
        try:
            answer = await self._client.execute_command(line.encode(), timeout=max(left_s, 0))
        except (SMTPServerDisconnected, SMTPTimeoutError, OSError):
            raise SmtpCut(stage) from None
        except SMTPResponseException:
            raise SmtpCut(stage) from None  # not an SMTP answer
        return _hoped(stage, answer, hoped)

    async def content(self, mail: bytes, deadline_s: float) -> SMTPResponse:
        """Send the mail and its final dot, after a 354, and wait for the answer.

        Args:
            mail: with CRLF line ends; dots at the start of lines are doubled here.
            deadline_s: on the clock of the loop.

        Raises:
            SmtpCut: at the stage DATA, nothing was sent; at the stage END, the server may have the mail.
            SmtpRefusal: the server refuses the mail.
        """
        protocol = self._client.protocol
        if protocol is None:
            raise SmtpCut(SmtpStage.DATA)
        left_s = deadline_s - asyncio.get_running_loop().time()
        stuffed = mail.replace(b"\r\n.", b"\r\n..")
        head = b"." if stuffed.startswith(b".") else b""
        tail = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
        try:
            protocol.write(head + stuffed + tail)
            answer = await protocol.read_response(timeout=max(left_s, 0))
        except (SMTPServerDisconnected, SMTPTimeoutError, SMTPResponseException, OSError):
            raise SmtpCut(SmtpStage.END) from None
        self._mails += 1
        self._used_s = asyncio.get_running_loop().time()
        return _hoped(SmtpStage.END, answer, 2)

    def close(self) -> None:
        """Close the connection at once."""
        self._client.close()

    async def quit(self) -> None:
        """Take leave, and close."""
        try:
            await self._client.quit(timeout=1)
        except (SMTPException, OSError):
            self._client.close()


def _hoped(stage: SmtpStage, answer: SMTPResponse, hoped: int) -> SMTPResponse:
    if answer.code // 100 != hoped:
        raise SmtpRefusal(stage, answer.code, answer.message)
    return answer


class SmtpPool:
    """Up to `max_connections` sessions to one server, the last used first."""

    def __init__(self, policy: SmtpPolicy) -> None:
        self._policy = policy
        self._slots = asyncio.Semaphore(policy.max_connections)
        self._idle: list[SmtpSession] = []
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def session(self, deadline_s: float) -> AsyncIterator[SmtpSession]:
        """Lend a session that works.

        One that was used before is asked with RSET whether it still does. It goes back to the pool unless the
        body ended by anything but a refusal.

        Raises:
            Transient: no slot or no connection in time.
            Misconfigured: login, certificate or TLS do not work.
            SmtpRefusal: the server refused the connection or the login.
        """
        await self._take_slot(deadline_s)
        try:
            session = await self._reused(deadline_s) or await self._open(deadline_s)
            try:
                yield session
            except SmtpRefusal:
                self._give_back(session)
                raise
            except BaseException:
                session.close()
                raise
            self._give_back(session)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Take leave on every idle connection."""
        while self._idle:
            await self._idle.pop().quit()

    async def _take_slot(self, deadline_s: float) -> None:
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._slots.acquire()
        except TimeoutError:
            msg = "no connection was free"
            raise Transient(msg, code="pool") from None

    def _give_back(self, session: SmtpSession) -> None:
        if session.fit(self._policy, asyncio.get_running_loop().time()):
            self._idle.append(session)
        else:
            session.close()

    async def _reused(self, deadline_s: float) -> SmtpSession | None:
        while self._idle:
            session = self._idle.pop()
            try:
                if session.fit(self._policy, asyncio.get_running_loop().time()):
                    await session.command(SmtpStage.CONNECT, "RSET", deadline_s)
                    return session
            except (SmtpCut, SmtpRefusal):
                pass  # it went stale; the next, or a new one, carries the mail
            session.close()
        return None

    async def _open(self, deadline_s: float) -> SmtpSession:
        client = self._client()
        try:
            async with asyncio.timeout_at(deadline_s):
                await client.connect()
                if client.is_ehlo_or_helo_needed:
                    await client.ehlo()
        except SMTPAuthenticationError as error:
            raise SmtpRefusal(SmtpStage.AUTH, error.code, error.message) from None
        except SMTPResponseException as error:
            raise SmtpRefusal(SmtpStage.CONNECT, error.code, error.message) from None
        except (SMTPException, OSError) as error:
            raise _unreachable(error, self._policy.host) from None
        return SmtpSession(client, asyncio.get_running_loop().time())

    def _client(self) -> SMTP:
        policy = self._policy
        return SMTP(
            hostname=policy.host,
            port=policy.port,
            username=policy.username or None,
            password=policy.password or None,
            local_hostname=policy.ehlo_name or None,
            timeout=policy.connect_timeout_s,
            use_tls=policy.security == "tls",
            start_tls=policy.security == "starttls",
            tls_context=self._tls_context() if policy.security != "plain" else None,
        )

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = client_context(self._policy.ca.encode())
        return self._tls


def _unreachable(error: Exception, host: str) -> DeliveryError:
    """Class what stopped a connection before the first mail. What the library refuses itself is settings."""
    cause = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(cause, ssl.SSLError):
        return of_ssl_error(host, cause)
    if isinstance(error, SMTPConnectError | SMTPServerDisconnected | SMTPTimeoutError | OSError):
        return Transient(f"no connection to the server ({type(error).__name__})", code="connect")
    return Misconfigured("the server offers no STARTTLS or no login we know", code="starttls or auth")
