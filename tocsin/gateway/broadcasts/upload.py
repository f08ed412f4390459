"""`PUT /v1/broadcasts/{id}/users/{chunk}`: uploads the users of a list, and `POST …/start` ends the upload.

A chunk may be sent again, whole, as often as is needed: the newest upload of it counts. So a client that does
not know whether a chunk arrived sends it again. Two uploads of a chunk never mix: while one of them comes,
the other one is refused.
"""

import asyncio
from http import HTTPStatus
from math import ceil
from typing import Final

from sources.partitioner import partition_of
from tocsin.formats.broadcasts import Action
from tocsin.formats.user_lists import SLICE_USERS, ListPart, closing_records, slice_records
from tocsin.gateway import audit
from tocsin.gateway.broadcasts import events
from tocsin.gateway.broadcasts.bodies import Accepted, Start, Uploaded
from tocsin.gateway.broadcasts.creation import accepted, notes_of
from tocsin.gateway.broadcasts.notes import ChunkUpload, Note
from tocsin.gateway.broadcasts.progress import known
from tocsin.gateway.broadcasts.user_lines import MEDIA_TYPES, UserLines
from tocsin.gateway.call import Call
from tocsin.gateway.endpoints import Answer, Endpoint, Parameter
from tocsin.gateway.gateway import Gateway
from tocsin.gateway.problems import Problem, not_ready, of_field
from tocsin.model.audit import Action as Entered
from tocsin.model.broadcast_list import CHUNKS, SLICES

_MOST_BYTES: Final = 1 << 30
_STARTED: Final = "the list was closed: it takes no users any more; send another broadcast to them"

_CLOSED_MEANWHILE: Final = (
    "the list was closed while the chunk came: send another broadcast to its users that get nothing"
)
_UNDER_WAY: Final = (
    "another upload of this chunk is under way: send the chunk again when that has ended;"
    " if it is not yours, number your chunks differently"
)
_OVERTAKEN: Final = "another upload of this chunk has begun meanwhile: send the chunk again, whole"


class ListWriter:
    """Writes the users of one chunk as they come, in slices; one slice is on its way while the next is read.

    Args:
        gateway: whose writer takes the records.
        part: names the chunk.
        upload: keeps other uploads of the chunk away; None where there can be none.
    """

    def __init__(self, gateway: Gateway, part: ListPart, upload: ChunkUpload | None = None) -> None:
        self._gateway = gateway
        self._part = part
        self._upload = upload
        self._users: list[str] = []
        self._under_way: asyncio.Task[None] | None = None
        self.count = 0

    async def add(self, users: list[str]) -> None:
        """Take users; waits for Kafka while it is behind."""
        self._users += users
        self.count += len(users)
        while len(self._users) > SLICE_USERS:
            part, self._users = self._users[:SLICE_USERS], self._users[SLICE_USERS:]
            await self._write(part, last=False)

    async def end(self) -> None:
        """Write the rest; all users are in Kafka afterwards.

        Raises:
            Problem: they are not; the chunk must be sent again.
        """
        await self._write(self._users, last=True)
        await self.settle()

    async def settle(self) -> None:
        """Wait for the slice that is on its way."""
        if self._under_way is not None:
            task, self._under_way = self._under_way, None
            await task

    async def _write(self, users: list[str], *, last: bool) -> None:
        if self._part.slice >= SLICES:
            raise Problem(413, f"send at most {SLICES * SLICE_USERS} users in a chunk")
        part, self._part = self._part._replace(last=last), self._part._replace(slice=self._part.slice + 1)
        await self.settle()
        if self._upload is not None and not await self._upload.keep():
            raise Problem(409, _OVERTAKEN)
        self._under_way = asyncio.create_task(self._slice(part, users))

    async def _slice(self, part: ListPart, users: list[str]) -> None:
        partitions = self._gateway.settings.partitions
        found = await asyncio.to_thread(slice_records, part, users, partitions, partition_of)
        await events.write(self._gateway.writer, events.as_records(found))


async def _put(call: Call) -> Answer:
    tenant, name, chunk = call.tenant, call.path["id"], _chunk(call.path["chunk"])
    note = await known(call, name)
    if note.started:
        raise Problem(409, _STARTED)
    lines = UserLines(call.headers.get("content-type", ""), call.headers.get("content-encoding", ""))
    upload = notes_of(call).upload(tenant, name, chunk)
    if wait_s := await upload.begin():
        raise not_ready(_UNDER_WAY, ceil(wait_s))
    writer = ListWriter(call.gateway, events.list_part(tenant, name)._replace(chunk=chunk), upload)
    try:
        await _written(call, lines, writer)
    except Problem as problem:
        # Behind a 503, a slice may still reach Kafka: the chunk stays taken until that is over.
        if problem.status != HTTPStatus.SERVICE_UNAVAILABLE:
            await upload.release()
        raise
    if not await upload.end(writer.count):
        raise Problem(409, _OVERTAKEN)
    if (await known(call, name)).started:
        raise Problem(409, _CLOSED_MEANWHILE)
    return Answer(200, Uploaded(chunk, writer.count))


async def _written(call: Call, lines: UserLines, writer: ListWriter) -> None:
    """Write a body as it comes; all of it is in Kafka afterwards."""
    try:
        async for part in call.stream():
            for users in lines.feed(part):
                await writer.add(users)
        await writer.add(lines.end())
        await writer.end()
    finally:
        await writer.settle()


def _chunk(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < len(str(CHUNKS)) + 1 and int(text) < CHUNKS):
        msg = "chunk"
        raise of_field(msg, "not the number of a chunk", f"send a number from 0 to {CHUNKS - 1}")
    return int(text)


async def _start(call: Call) -> Answer:
    tenant, name = call.tenant, call.path["id"]
    asked = await call.body(Start) if await call.raw_body() else Start()
    note = await known(call, name)
    if not note.started:
        _check(note, asked)
    # First of all: what is closed may take no chunk, also where nobody knows whether it is closed.
    await notes_of(call).start(tenant, name)
    partitions = call.gateway.settings.partitions
    end = events.as_records(closing_records(events.list_part(tenant, name), partitions))
    await events.write(call.gateway.writer, end)
    start = events.control_record(tenant, name, Action.START, "", call.now_ms, partitions)
    entered = audit.entry(call, Entered.BROADCAST_START_ASKED, name)
    await events.write(call.gateway.writer, [start, entered])
    return accepted(name)


def _check(note: Note, asked: Start) -> None:
    """Refuse to start with less than was meant."""
    open_ = sorted(chunk for chunk, users in note.chunks.items() if users is None)
    if open_:
        named = ", ".join(map(str, open_[:10]))
        raise Problem(409, f"chunk {named} was not uploaded to its end: upload it again, then start")
    total = sum(users or 0 for users in note.chunks.values())
    if asked.users is not None and asked.users != total:
        raise Problem(409, f"{total} users were uploaded, and not {asked.users}: upload what is missing")


ENDPOINTS = (
    Endpoint(
        "PUT",
        "/v1/broadcasts/{id}/users/{chunk}",
        _put,
        "Upload users of a broadcast's list, one id a line; the newest upload of a chunk counts.",
        scope="broadcasts:write",
        answers={200: Uploaded},
        example="ada\nbob\n",
        parameters=(
            Parameter("chunk", "path", int, f"number of the chunk, from 0 to {CHUNKS - 1}", True, 0),
            Parameter("Content-Encoding", "header", str, "`gzip`, or left away", example="gzip"),
        ),
        max_bytes=_MOST_BYTES,
        media_types=MEDIA_TYPES,
    ),
    Endpoint(
        "POST",
        "/v1/broadcasts/{id}/start",
        _start,
        "Start a broadcast whose list is complete.",
        scope="broadcasts:write",
        answers={202: Accepted},
        example={"users": 2},
        parameters=(),
        body=Start,
    ),
)
