"""Shares the partitions of a history among processes.

Each process loads the catalogs and opens the history once. Then it plays the partitions that it is given, one
at a time, and tells how many records it has read. The largest partitions are handed out first, so that all
processes end at nearly the same time.

Only the caller cleans up. It kills its processes when all is played, when one of them fails, and on Ctrl-C.
Then it removes the folder that holds their state. A process whose caller is gone ends by itself.
"""

import signal
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from flows.memory import collect_seldom
from flows.simulation.partition import Note, play
from flows.simulation.report import Part
from flows.simulation.request import Catalogs, Request
from sources.history import Bounds as Offsets
from tocsin.errors import SourceError, TocsinError

_WORTH_A_PROCESS: Final = 20_000
"""Records that one process plays in the time that another one needs to start."""
_SPAWN: Final = get_context("spawn")
_CTRL_C: Final = frozenset({signal.SIGINT})


def largest_first(offsets: Offsets, partitions: int) -> list[int]:
    """List the partitions that hold records, those with the most records first."""
    sizes: Counter[int] = Counter()
    for places in offsets.values():
        sizes.update({number: end - first for number, (first, end) in places.items() if number < partitions})
    return [number for number, size in sizes.most_common() if size]


def worthwhile(records: int, cores: int) -> int:
    """Tell how many processes a history of so many records is worth.

    >>> worthwhile(1_000_000, 8), worthwhile(45_000, 8), worthwhile(300, 8)
    (8, 2, 1)
    """
    return max(1, min(cores, records // _WORTH_A_PROCESS))


class _Worker:
    """One process, and the connection to it."""

    def __init__(self, request: Request, offsets: Offsets, folder: str) -> None:
        self.connection, self._its_end = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_work, args=(request, offsets, Path(folder), self._its_end), daemon=True
        )

    def start(self) -> None:
        """Start the process. Ctrl-C in a terminal reaches it, too, but is for the caller alone."""
        ensure_running()  # the first start would start this helper of Python's, which unblocks Ctrl-C
        with _no_ctrl_c():
            self._process.start()
        self._its_end.close()

    def give(self, partition: int) -> None:
        """Name the partition that it plays next; that it is gone shows with its answer."""
        with suppress(ConnectionError):
            self.connection.send(partition)

    def answer(self) -> int | tuple[int, Part]:
        """Wait for the number of records that it read, or for a partition with its result.

        Raises:
            TocsinError: the one that ended the process.
            SourceError: the process was killed.
        """
        try:
            found: int | tuple[int, Part] | TocsinError = self.connection.recv()
        except (EOFError, ConnectionError):
            raise self._lost() from None
        if isinstance(found, TocsinError):
            raise found
        return found

    def _lost(self) -> SourceError:
        self._process.join()
        return SourceError(
            f"a process of the simulation ended with code {self._process.exitcode} before its result; if it"
            " was killed for want of memory, --workers 1 needs less"
        )

    def end(self) -> None:
        """End the process, whatever it does: its folder is the caller's, and nothing else is to be saved."""
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()
        self.connection.close()


@contextmanager
def _no_ctrl_c() -> Iterator[None]:
    """Block Ctrl-C. A process that is started meanwhile never gets it; here it comes afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def play_shared(
    request: Request, offsets: Offsets, partitions: Collection[int], workers: int, note: Note
) -> dict[int, Part]:
    """Play partitions in so many processes.

    Args:
        request: what to simulate.
        offsets: where the partitions begin and end.
        partitions: are handed out in this order.
        workers: processes, at most one a partition.
        note: takes the number of records read, again and again.

    Returns:
        The result of each partition.

    Raises:
        TocsinError: a process failed; the others are ended.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="tocsin-simulate-"))
        team = _Team(iter(partitions), note)
        for _ in range(min(workers, len(partitions))):
            worker = _Worker(request, offsets, folder)
            stack.callback(worker.end)
            worker.start()
            team.employ(worker)
        return team.played()


class _Team:
    """Hands partitions to processes and collects the results."""

    def __init__(self, left: Iterator[int], note: Note) -> None:
        self._left = left
        self._note = note
        self._busy: dict[Connection, _Worker] = {}
        self._parts: dict[int, Part] = {}

    def employ(self, worker: _Worker) -> None:
        """Give a process the next partition, if there is one."""
        partition = next(self._left, None)
        if partition is None:
            self._busy.pop(worker.connection, None)
            return
        self._busy[worker.connection] = worker
        worker.give(partition)

    def played(self) -> dict[int, Part]:
        """Wait for the results of all partitions."""
        while self._busy:
            for connection in wait(list(self._busy)):
                assert isinstance(connection, Connection), "nothing else is waited for"
                self._hear(self._busy[connection])
        return self._parts

    def _hear(self, worker: _Worker) -> None:
        found = worker.answer()
        if isinstance(found, int):
            self._note(found)
            return
        partition, part = found
        self._parts[partition] = part
        self.employ(worker)


def _work(request: Request, offsets: Offsets, folder: Path, caller: Connection) -> None:
    """Play each partition that the caller names, until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        catalogs = Catalogs.of(request)
        collect_seldom()  # as a shard does
        with closing(request.place.open(request.names(catalogs.present), offsets)) as history:
            while True:
                partition = caller.recv()
                part = play(request, catalogs, history, partition, caller.send, folder)
                caller.send((partition, part))
    except TocsinError as error:
        caller.send(error)
    except (EOFError, ConnectionError):
        return  # the caller is gone
