"""Open claims of the send ledger: messages whose last call nobody knows the end of."""

import redis

from tocsin.delivery.ledger import LedgerPolicy

_BATCH = 1_000


def open_claims(policy: LedgerPolicy) -> set[str]:
    """List the message ids whose claim is open now.

    Read between the death of a sender and its restart, these are all that can be sent twice (law 5).
    """
    prefix = f"{policy.prefix}ledger:"
    found: set[str] = set()
    with redis.Redis.from_url(policy.url) as client:
        keys: list[bytes] = []
        for key in client.scan_iter(match=f"{prefix}*", count=_BATCH):
            keys.append(key)
            if len(keys) == _BATCH:
                found |= _claimed(client, keys, prefix)
                keys = []
        return found | _claimed(client, keys, prefix)


def _claimed(client: redis.Redis, keys: list[bytes], prefix: str) -> set[str]:
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.getrange(key, 0, 0)
        states = pipe.execute() if keys else []
    return {
        key.decode().removeprefix(prefix) for key, state in zip(keys, states, strict=True) if state == b"C"
    }
