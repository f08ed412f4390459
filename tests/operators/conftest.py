from collections.abc import Callable
from typing import Any

import pytest

from tests.delivery.memory_ledger import MemoryLedger, MemoryStore
from tests.operators.delivery import Rig
from tests.providers.conftest import own_valkey, runtime
from tocsin.delivery.runtime import Runtime

__all__ = ["own_valkey", "rig", "runtime", "store"]


@pytest.fixture
def store() -> MemoryStore:
    """What the ledgers of one test share, over restarts of the channel."""
    return MemoryStore()


@pytest.fixture
def rig(runtime: Runtime, store: MemoryStore) -> Callable[..., Rig]:
    """Build channels over a ledger in memory."""

    def build(providers: Any, *, incarnation: str = "a" * 16, **settings: Any) -> Rig:
        settings.setdefault("ledger", MemoryLedger(store, incarnation))
        return Rig(runtime, providers, **settings)

    return build
