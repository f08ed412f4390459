"""What a producer does over HTTP, with the examples of docs/gateway.md."""

import re
import time
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent.parent


class Producer(NamedTuple):
    """A producer: the address of a gateway, and a key."""

    address: str
    key: str

    def story(self, subject: str) -> list[dict[str, Any]]:
        """Read the steps of a story; none while nothing is known."""
        answer = httpx2.get(
            f"{self.address}/v1/notifications/{subject}",
            headers={"authorization": f"Bearer {self.key}"},
            timeout=PATIENCE_S,
        )
        found = answer.json()["stories"] if answer.status_code == 200 else []
        assert answer.status_code in {200, 404}, answer.text
        return [step for one in found for step in one["steps"]]

    def until(self, subject: str, *statuses: str) -> list[dict[str, Any]]:
        """Read a story until a step of each status is in it: they are stored in any order."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            steps = self.story(subject)
            if {step["status"] for step in steps} >= set(statuses):
                return steps
            time.sleep(0.2)
        pytest.fail(f"{subject} is not {statuses} within {PATIENCE_S:.0f} s: {self.story(subject)}")


def example(language: str) -> str:
    """Return the example of notifications in a language, from the documentation."""
    text = (ROOT / "docs/gateway.md").read_text().partition("### Notifications")[2]
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]
