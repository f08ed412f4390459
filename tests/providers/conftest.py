from collections.abc import Iterator

import pytest

from tests.providers.valkey import OwnValkey
from tocsin.delivery.runtime import Runtime


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnValkey]:
    """Give a Valkey that the test may kill."""
    server = OwnValkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """Give a running loop in a thread."""
    loop = Runtime()
    loop.start()
    yield loop
    loop.stop()
