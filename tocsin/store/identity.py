"""Whose state a directory holds, and how far it is: what must fit before a shard may start."""

from collections.abc import Mapping

import msgspec

from tocsin.errors import StateError
from tocsin.store.deltas import FORMAT
from tocsin.store.keys import ROWS_GROUP, VERSION, opened


class Identity(msgspec.Struct, frozen=True, kw_only=True, rename={"key_groups": "lanes"}):
    """Fix what must never change during the life of a state directory. Stored names are those of release 0.1.

    Attributes:
        cluster: id of the Kafka cluster, empty if it has none.
        topics: topic name → topic id; topics may be added later.
        partitions: partitions of the keyed topics.
        key_groups: key groups a partition.
        shard: number of this shard, from 0.
        shards: number of shards.
    """

    cluster: str
    topics: dict[str, str]
    partitions: int
    key_groups: int
    shard: int = 0
    shards: int = 1

    @property
    def own_key_groups(self) -> int:
        """Number of key groups this shard owns."""
        return len(range(self.shard, self.partitions, self.shards)) * self.key_groups

    def owns(self, partition: int, key_group: int) -> bool:
        """Whether that key group is this shard's."""
        return (
            0 <= partition < self.partitions
            and partition % self.shards == self.shard
            and (0 <= key_group < self.key_groups or key_group == ROWS_GROUP)
        )


class Meta(msgspec.Struct, frozen=True, kw_only=True, rename={"published": "shown"}):
    """The base's own record, written in the same batch as each epoch.

    Attributes:
        lineage: given to the base at its creation; rows of the recovery store name it.
        applied: the last epoch whose changes the base has.
        published: the last epoch known to be published whole.
        format: layout of the base.
    """

    lineage: str
    identity: Identity
    applied: int = 0
    published: int = 0
    format: int = FORMAT


def encode_meta(meta: Meta) -> bytes:
    """Encode as a version byte and JSON, for whoever looks into a base by hand."""
    return VERSION + msgspec.json.encode(meta)


def decode_meta(data: bytes) -> Meta:
    """Decode, or raise `StateError` if it is damaged or of a newer format."""
    try:
        meta = msgspec.json.decode(opened(data), type=Meta)
    except msgspec.MsgspecError as error:
        msg = f"the base's own record is damaged ({error}): restore the state directory from a backup"
        raise StateError(msg) from error
    if meta.format != FORMAT:
        msg = f"the base has format {meta.format}, this release reads {FORMAT}: run the release that wrote it"
        raise StateError(msg)
    return meta


def check_identity(stored: Identity, now: Identity) -> None:
    """Refuse state of another cluster, topic or layout. Topics that are new are welcome."""
    if stored.cluster != now.cluster:
        msg = (
            "the state belongs to another Kafka cluster: point the shard at its own cluster, "
            "or start with an empty state directory"
        )
        raise StateError(msg)
    if anew := topics_anew(stored.topics, now.topics):
        raise StateError(anew)
    for name in ("partitions", "key_groups", "shards", "shard"):
        _check_layout(name.replace("_", " "), getattr(stored, name), getattr(now, name))


def topics_anew(stored: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Name the topics whose ids are not the stored ones, with the cure; empty if there is none."""
    anew = sorted(name for name, topic in now.items() if stored.get(name, topic) != topic)
    if not anew:
        return ""
    return (
        f"topics were deleted and created anew since the state was written: {', '.join(anew)}; "
        "start with an empty state directory, or put back the topics"
    )


def _check_layout(name: str, stored: int, now: int) -> None:
    if stored != now:
        msg = (
            f"the state was written with {name} = {stored}, the settings say {now}: "
            f"set it back to {stored}, or start with an empty state directory"
        )
        raise StateError(msg)


def merged(stored: Identity, now: Identity) -> Identity:
    """Remember topics that were ever known, so that one put back with another id is noticed."""
    return msgspec.structs.replace(now, topics=stored.topics | now.topics)
