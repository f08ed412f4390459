"""A rig in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.shard.close()
