from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.operators.delivery import Rig
from tests.providers.conftest import own_valkey, runtime
from tocsin.delivery.runtime import Runtime

__all__ = ["own_valkey", "rig", "runtime"]


@pytest.fixture
def rig(runtime: Runtime, redis_db: str) -> Iterator[Callable[..., Rig]]:
    """Build channels over a Redis of the test's own."""
    rigs: list[Rig] = []

    def build(providers: Any, **settings: Any) -> Rig:
        rigs.append(Rig(runtime, redis_db, providers, **settings))
        return rigs[-1]

    yield build
    for made in rigs:
        made.close()
