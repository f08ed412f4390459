"""Hosts that do not answer: who wants something of them waits for none of it, and nobody waits behind."""

from collections import OrderedDict
from collections.abc import Callable

SILENT = "silent"
"""Code of a request that was not made."""
FEW = 3
"""Requests without an answer, and without an answer between them, after which a host is left alone."""
PAUSE_S = 5.0
"""Until one request asks it again; no other does before that one had the same time."""
_MOST = 1_000


class SilentHosts:
    """Remembers hosts whose last requests got no answer; the oldest of very many are forgotten.

    >>> hosts = SilentHosts(lambda: 0.0)
    >>> for _ in range(FEW):
    ...     hosts.silent("files.example")
    >>> hosts.may_ask("files.example"), hosts.may_ask("other.example")
    (False, True)
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._until_s: dict[str, float] = {}

    def may_ask(self, host: str) -> bool:
        """Tell whether to ask a host now; of one that is silent, the caller is the one who asks."""
        now_s = self._monotonic_s()
        if self._counts.get(host, 0) < FEW:
            return True
        if now_s < self._until_s[host]:
            return False
        self._until_s[host] = now_s + PAUSE_S
        return True

    def silent(self, host: str) -> None:
        """Note that a request got no answer."""
        self._counts[host] = self._counts.get(host, 0) + 1
        self._until_s[host] = self._monotonic_s() + PAUSE_S
        if len(self._counts) > _MOST:
            self.answered(next(iter(self._counts)))

    def answered(self, host: str) -> None:
        """Note that it answers."""
        self._counts.pop(host, None)
        self._until_s.pop(host, None)
