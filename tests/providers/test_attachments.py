"""Attachments are fetched late, once for all who want them, within bounds, and not from our own network."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.providers.scripted_http import Answer, Fault, ScriptedHttp, Step
from tocsin.catalog.attachments import MAX_ATTACHMENT_BYTES
from tocsin.errors import About, DeliveryError, Rejected, Transient, Unknown
from tocsin.model.content import AttachmentRef
from tocsin.providers.attachments import FRESH_S, AttachmentFetcher, web_policy
from tocsin.providers.http import Response
from tocsin.providers.http_asyncio import AsyncioTransport
from tocsin.providers.silent_hosts import FEW, PAUSE_S, SilentHosts

URL = "https://files.example/secret-token"
SECRET = "secret-token"


def at(url: str) -> AttachmentRef:
    return AttachmentRef(url, is_file=False, name="bill.pdf", type="application/pdf")


class Web:
    """A transport that answers from a list, and keeps what it was asked."""

    def __init__(self, *answers: Response | DeliveryError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Response:
        self.asked.append((url, headers))
        await asyncio.sleep(0)
        answer = self.answers.pop(0)
        if isinstance(answer, DeliveryError):
            raise answer
        return answer

    async def reconnect(self) -> None: ...

    async def close(self) -> None: ...


class World:
    """A fetcher with a clock that a test sets."""

    def __init__(self, web: Web, inside: Web | None = None, folder: Path = Path(), **more: Any) -> None:
        self.now_s = 0.0
        hosts = frozenset({"files.internal"})
        self.fetcher = AttachmentFetcher(
            folder, web, inside or Web(), hosts, lambda: self.now_s, lambda: 1_700_000_000.0, **more
        )

    async def content(self, url: str = URL) -> bytes:
        (found,) = await self.fetcher.fetch([at(url)])
        return found.content

    async def failure(self, url: str = URL) -> DeliveryError:
        with pytest.raises(DeliveryError) as caught:
            await self.content(url)
        assert SECRET not in f"{caught.value} {caught.value.code}"
        assert caught.value.about is About.MESSAGE
        return caught.value


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Response(404, {}, b""), Rejected, "attachment 1: its server answers 404"),
        (Response(403, {}, b""), Rejected, "attachment 1: its server answers 403"),
        (Response(302, {}, b""), Rejected, "write the address that it redirects to"),
        (Response(200, {"content-encoding": "gzip"}, b"x"), Rejected, "compressed"),
        (Response(200, {}, b"x" * (MAX_ATTACHMENT_BYTES + 1)), Rejected, "more than 7,000,000 bytes"),
        (Unknown("cut", code="too_long"), Rejected, "more than 7,000,000 bytes"),
        (Rejected("the address leads into a private network"), Rejected, "private network"),
        (Response(429, {"retry-after": "7"}, b""), Transient, "429"),
        (Response(408, {}, b""), Transient, "408"),
        (Response(503, {}, b""), Transient, "503"),
        (Unknown("out of time"), Transient, "does not answer"),
        (Transient("no connection"), Transient, "does not answer"),
    ],
)
async def test_each_failure_is_permanent_or_transient(
    answer: Response | DeliveryError, kind: type[DeliveryError], text: str
) -> None:
    error = await World(Web(answer)).failure()
    assert type(error) is kind
    assert text in str(error)


async def test_a_server_that_does_not_answer_is_not_waited_for_by_each_mail() -> None:
    """Each held a place at the account for ten seconds, and mails without attachments stood behind them."""
    mute, good = Unknown("out of time"), Response(200, {}, b"%PDF")
    web = Web(*[mute] * (FEW + 1), good, good)
    world = World(web)
    for number in range(FEW):
        await world.failure(f"{URL}?{number}")
    assert (await world.failure()).code == "silent"
    assert type(await world.failure()) is Transient
    assert len(web.asked) == FEW
    world.now_s += PAUSE_S
    await world.failure()
    assert (await world.failure()).code == "silent", "one asked for all"
    world.now_s += PAUSE_S
    assert [await world.content(f"{URL}?a"), await world.content(f"{URL}?b")] == [b"%PDF"] * 2


async def test_of_very_many_silent_hosts_the_oldest_are_forgotten() -> None:
    hosts = SilentHosts(lambda: 0.0)
    for number in range(1_001):
        for _ in range(FEW):
            hosts.silent(f"h{number}")
    assert (hosts.may_ask("h0"), hosts.may_ask("h1000")) == (True, False)


async def test_retry_after_of_the_server_is_kept() -> None:
    assert (await World(Web(Response(503, {"retry-after": "30"}, b""))).failure()).retry_after_s == 30


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/secret-token",
        "ftp://files.example/secret-token",
        "file:///etc/passwd#secret-token",
        "https://user:secret-token@files.example/",
        "https:///secret-token",
        "https://[secret-token/",
        "https://files.example:0/secret-token",
        "secret-token",
    ],
)
async def test_only_https_is_asked_and_no_password_goes_out(url: str) -> None:
    web = Web()
    error = await World(web).failure(url)
    assert (type(error), error.code, web.asked) == (Rejected, "bad_url", [])


@pytest.mark.parametrize("bill", ["no 7", "Nº7", "7\r\nhost: evil.example", "7\0"])
async def test_a_url_that_is_not_escaped_is_refused_for_good_and_says_so(bill: str) -> None:
    web = Web()
    error = await World(web).failure(f"https://files.example/{bill}")
    assert (type(error), error.code, web.asked) == (Rejected, "bad_url", [])
    assert "| urlencode" in str(error)
    assert bill not in str(error)


async def test_hosts_inside_are_asked_by_the_other_transport_also_by_http() -> None:
    web, inside = Web(), Web(Response(200, {}, b"a"), Response(200, {}, b"b"))
    world = World(web, inside)
    assert await world.content("http://files.internal/x") == b"a"
    assert await world.content("https://FILES.internal:8443/y") == b"b"
    assert web.asked == []
    assert (await world.failure("http://files.internal.example/x")).code == "bad_url"


async def test_a_content_is_kept_for_a_minute_and_then_asked_for_by_its_tag() -> None:
    web = Web(Response(200, {"etag": '"1"'}, b"one"), Response(304, {}, b""), Response(200, {}, b"two"))
    world = World(web)
    assert [await world.content(), await world.content()] == [b"one"] * 2
    world.now_s = FRESH_S + 1
    assert await world.content() == b"one"
    assert web.asked[1][1]["if-none-match"] == '"1"'
    world.now_s = 2 * FRESH_S
    assert await world.content() == b"one"
    world.now_s = 3 * FRESH_S
    assert (await world.content(), len(web.asked)) == (b"two", 3)


async def test_many_mails_at_once_ask_once() -> None:
    web = Web(Response(200, {}, b"one"))
    world = World(web)
    assert await asyncio.gather(*[world.content() for _ in range(20)]) == [b"one"] * 20
    assert len(web.asked) == 1


async def test_a_failure_is_not_kept() -> None:
    world = World(Web(Response(503, {}, b""), Response(200, {}, b"one")))
    await world.failure()
    assert await world.content() == b"one"


async def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    web = Web(*[Response(200, {}, b"x" * 40)] * 4)
    world = World(web, most_bytes=100)
    for name in ("a", "b", "a", "c", "a", "b"):
        await world.content(f"https://files.example/{name}")
    assert [url[-1] for url, _ in web.asked] == ["a", "b", "c", "b"]


async def test_files_come_from_the_catalog(tmp_path: Path) -> None:
    (tmp_path / "terms.pdf").write_bytes(b"%PDF")
    (tmp_path / "large.pdf").write_bytes(b"x" * (MAX_ATTACHMENT_BYTES + 1))
    fetch = World(Web(), folder=tmp_path).fetcher.fetch
    ref = AttachmentRef("terms.pdf", is_file=True, name="Terms.pdf", type="application/pdf", cid="c")
    (found,) = await fetch([ref])
    assert (found.name, found.type, found.content, found.cid) == (
        "Terms.pdf",
        "application/pdf",
        b"%PDF",
        "c",
    )
    for name, text in (("gone.pdf", "attachment 2: its file is not"), ("large.pdf", "more than 7,000,000")):
        with pytest.raises(Rejected, match=text):
            await fetch([ref, AttachmentRef(name, is_file=True, name="x", type="a/b")])


@pytest.mark.integration
async def test_the_guard_keeps_a_real_fetch_out_of_our_own_network() -> None:
    answers: Iterator[Step] = iter(
        [Answer(200, b"inside", (("ETag", '"a"'),)), Fault.CLOSE, Answer(200, b"x" * 9_000_000)]
    )
    async with ScriptedHttp(lambda _: next(answers)) as server:
        host = server.url.removeprefix("http://").partition(":")[0]
        fetcher = AttachmentFetcher(
            Path(),
            AsyncioTransport(web_policy(public_only=True)),
            AsyncioTransport(web_policy(public_only=False)),
            frozenset({host}),
            lambda: 0.0,
            lambda: 0.0,
        )
        (found,) = await fetcher.fetch([at(f"{server.url}/bill.pdf")])
        assert found.content == b"inside"
        with pytest.raises(Transient, match="does not answer"):
            await fetcher.fetch([at(f"{server.url}/other.pdf")])
        with pytest.raises(Rejected, match="more than 7,000,000 bytes"):
            await fetcher.fetch([at(f"{server.url}/large.pdf")])
        with pytest.raises(Rejected, match="private network"):
            await fetcher.fetch([at(f"https://127.0.0.2{server.url[len('http://127.0.0.1') :]}/x")])
        assert len(server.requests) == 3
        await fetcher.close()
