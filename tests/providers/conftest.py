from collections.abc import Iterator

import pytest

from tests.providers.scripted_http import Answer, ScriptedHttp
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


@pytest.fixture
def accepting(runtime: Runtime) -> Iterator[ScriptedHttp]:
    """Give a vendor's server that takes everything."""
    made = ScriptedHttp(lambda _: Answer(202))
    runtime.run(made.__aenter__(), 60)
    yield made
    runtime.run(made.__aexit__(), 60)
