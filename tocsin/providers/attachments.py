"""Fetches the attachments of mails when they are sent: files of the catalog, and what URLs give.

| what happens | effect |
|---|---|
| 404 or another 4xx, a redirect, a private address, a URL that is none, too large | permanent |
| 408, 425, 429, 5xx, no connection, no answer in time | transient: tried again as a failed attempt |
| three requests of a host in a row without an answer | the same, without asking it, until it answers one |

A mail that waits for a file holds a place at its account. So a server that does not answer must not be waited
for by each of its mails: those of others would stand behind them.

What a URL gave is kept for a minute, and after that for as long as the server says that its entity tag is
still right. No text of an error names a URL, which may hold a secret.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tocsin.catalog.attachments import MAX_ATTACHMENT_BYTES
from tocsin.errors import About, DeliveryError, Rejected, Transient
from tocsin.model.content import Attachment, AttachmentRef
from tocsin.providers.http import Clock, HttpPolicy, Response, Transport, retry_after_s
from tocsin.providers.http_exchange import TOO_LONG
from tocsin.providers.silent_hosts import SILENT, SilentHosts

TIMEOUT_S = 10.0
FRESH_S = 60.0
KEPT_BYTES = 64 << 20
"""Of a process, together."""
_CONNECTIONS = 32
_ESCAPED = re.compile("[!-~]+")
_FOR_NOW = frozenset({408, 425, 429})
_HEADERS = {"accept": "*/*", "accept-encoding": "identity"}


def web_policy(*, public_only: bool) -> HttpPolicy:
    """Make the policy of the connections to servers of attachments."""
    return HttpPolicy(max_connections=_CONNECTIONS, public_only=public_only)


class _Kept(NamedTuple):
    content: bytes
    tag: str
    asked_s: float


class _Cache:
    """Contents by URL; those that were not used for longest go first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self.bytes = 0

    def get(self, url: str) -> _Kept | None:
        """Return what is kept of a URL."""
        found = self._kept.get(url)
        if found is not None:
            self._kept.move_to_end(url)
        return found

    def put(self, url: str, kept: _Kept) -> None:
        """Keep it in place of what was there."""
        self.drop(url)
        self._kept[url] = kept
        self.bytes += len(kept.content)
        while self.bytes > self._most_bytes:
            self.drop(next(iter(self._kept)))

    def drop(self, url: str) -> None:
        """Forget it."""
        before = self._kept.pop(url, None)
        self.bytes -= len(before.content) if before else 0


class AttachmentFetcher:
    """Fetches attachments. All methods belong to one loop.

    Args:
        folder: the catalog's folder of attachments.
        public: a transport that calls public addresses only.
        inside: one that calls all; it is used for `hosts`.
        hosts: hosts of the own network that may be asked, also by plain HTTP.
        monotonic_s: time since any moment.
        clock: wall time, which dates in `Retry-After` are compared with.
        most_bytes: what is kept, together.
    """

    def __init__(
        self,
        folder: Path,
        public: Transport,
        inside: Transport,
        hosts: frozenset[str],
        monotonic_s: Callable[[], float],
        clock: Clock,
        most_bytes: int = KEPT_BYTES,
    ) -> None:
        self._folder = folder
        self._public = public
        self._inside = inside
        self._hosts = hosts
        self._monotonic_s = monotonic_s
        self._clock = clock
        self._cache = _Cache(most_bytes)
        self._silent = SilentHosts(monotonic_s)
        self._running: dict[str, asyncio.Task[bytes]] = {}

    async def fetch(self, refs: Sequence[AttachmentRef]) -> tuple[Attachment, ...]:
        """Fetch what a mail brings, in its order.

        Raises:
            DeliveryError: permanent or transient, about the message; the text says which attachment and why.
        """
        found = []
        for number, ref in enumerate(refs, 1):
            try:
                content = await (self._file(ref.source) if ref.is_file else self._shared(ref.source))
            except DeliveryError as error:
                raise _numbered(error, number) from None
            found.append(Attachment(ref.name, ref.type, content, ref.cid))
        return tuple(found)

    async def close(self) -> None:
        """Close the connections."""
        await self._public.close()
        await self._inside.close()

    async def _file(self, name: str) -> bytes:
        content = await asyncio.to_thread(_read, self._folder / name)
        if content is None:
            msg = "its file is not in the catalog; put it there and replay"
            raise Rejected(msg, code="no_file")
        return _checked(content)

    async def _shared(self, url: str) -> bytes:
        """Fetch a URL once for all who want it at the moment."""
        task = self._running.get(url)
        if task is None:
            task = self._running[url] = asyncio.get_running_loop().create_task(self._url(url))
            task.add_done_callback(lambda _: self._running.pop(url, None))
        return await asyncio.shield(task)

    async def _url(self, url: str) -> bytes:
        kept, now_s = self._cache.get(url), self._monotonic_s()
        if kept is not None and now_s - kept.asked_s < FRESH_S:
            return kept.content
        headers = _HEADERS | ({"if-none-match": kept.tag} if kept and kept.tag else {})
        answer = await self._ask(url, headers)
        if answer.status == 304 and kept is not None:
            self._cache.put(url, kept._replace(asked_s=now_s))
            return kept.content
        self._cache.drop(url)
        content = self._content_of(answer)
        self._cache.put(url, _Kept(content, answer.headers.get("etag", ""), now_s))
        return content

    async def _ask(self, url: str, headers: dict[str, str]) -> Response:
        transport, host = self._transport_for(url), urlsplit(url).netloc
        if not self._silent.may_ask(host):
            raise _no_answer(SILENT)
        try:
            answer = await transport.request("GET", url, headers, b"", TIMEOUT_S)
        except Rejected:  # by the guard: its text says what is wrong with the address
            raise
        except DeliveryError as error:
            if error.code == TOO_LONG:
                raise _too_large() from None
            self._silent.silent(host)
            raise _no_answer(error.code or "no_answer") from None
        self._silent.answered(host)
        return answer

    def _transport_for(self, url: str) -> Transport:
        """Choose by the host.

        Raises:
            Rejected: the URL is none that is asked.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        inside = host in self._hosts
        schemes = ("https", "http") if inside else ("https",)
        if not _ESCAPED.fullmatch(url):
            msg = "its address holds a space or another character that must be escaped: write `| urlencode`"
            raise Rejected(msg, code="bad_url")
        if not host or port == 0 or parts.scheme not in schemes or "@" in parts.netloc:
            msg = "its address is no https URL"
            raise Rejected(msg, code="bad_url")
        return self._inside if inside else self._public

    def _content_of(self, answer: Response) -> bytes:
        status = answer.status
        if status == 200 and answer.headers.get("content-encoding", "identity") == "identity":
            return _checked(answer.body)
        if status in _FOR_NOW or status >= 500:
            wait_s = retry_after_s(answer.headers, self._clock())
            msg = f"its server answers {status}"
            raise Transient(msg, code=str(status), retry_after_s=wait_s, about=About.MESSAGE)
        redirect = "; write the address that it redirects to" if 300 <= status < 400 else ""
        encoded = ", compressed though it was not asked to be" if status == 200 else ""
        msg = f"its server answers {status}{encoded}{redirect}"
        raise Rejected(msg, code=str(status))


def _numbered(error: DeliveryError, number: int) -> DeliveryError:
    text = f"attachment {number}: {error}"
    return type(error)(text, code=error.code, retry_after_s=error.retry_after_s, about=About.MESSAGE)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_ATTACHMENT_BYTES + 1)
    except OSError:
        return None


def _checked(content: bytes) -> bytes:
    if len(content) > MAX_ATTACHMENT_BYTES:
        raise _too_large()
    return content


def _no_answer(code: str) -> Transient:
    return Transient("its server does not answer", code=code, about=About.MESSAGE)


def _too_large() -> Rejected:
    return Rejected(f"it has more than {MAX_ATTACHMENT_BYTES:,} bytes", code="too_large")
