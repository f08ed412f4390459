"""A sandbox process for the tests, emptied before each."""

from collections.abc import Iterator

import pytest

from tests.sandbox.box import Box, start


@pytest.fixture(scope="session")
def box_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """Run one sandbox for the session."""
    with start(tmp_path_factory.mktemp("sandbox"), "--h2-port=0") as box:
        yield box


@pytest.fixture
def box(box_process: Box) -> Box:
    """Give the session's sandbox, without messages, faults or people."""
    box_process.http.delete("/people").raise_for_status()
    box_process.http.delete("/sent").raise_for_status()
    box_process.http.delete("/faults").raise_for_status()
    return box_process
