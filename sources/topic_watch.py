"""Watches for topics that somebody deletes and creates anew while a shard reads them.

librdkafka says nothing then: where the new topic is already longer than the next offset, it goes on in the
middle of it.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from tocsin.errors import SourceError
from tocsin.store.identity import topics_anew


class TopicIds(Protocol):
    """Reads the ids of topics (`sources.topics.TopicAdmin`)."""

    def topic_ids(self, names: Collection[str]) -> dict[str, str]:
        """Return the id of each topic that exists; `SourceError` if Kafka does not answer."""
        ...


class TopicWatch:
    """Compares the ids of topics with those of the start.

    Args:
        admin: reads the present ids.
        ids: topic ids at the start, by topic without prefix.
        refuse: takes the sentence once a topic has another id.
    """

    def __init__(self, admin: TopicIds, ids: Mapping[str, str], refuse: Callable[[str], None]) -> None:
        self._admin = admin
        self._ids = dict(ids)
        self._refuse = refuse

    def look(self) -> None:
        """Ask Kafka once; may take seconds. A topic that is missing now is told by the consumer's health."""
        try:
            now = self._admin.topic_ids(list(self._ids))
        except SourceError:
            return
        if sentence := topics_anew(self._ids, now):
            self._refuse(sentence)
