"""A process that delivers tells its operators, through the adapters of the accounts file."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flows.alerting import start_alerts
from tests.providers.conftest import accepting, runtime
from tests.providers.scripted_http import ScriptedHttp
from tests.waiting import until
from tocsin.app.metrics import Meters
from tocsin.app.settings import Settings
from tocsin.delivery.breaker import AccountState, Condition
from tocsin.delivery.runtime import Runtime
from tocsin.model.statuses import Reason

__all__ = ["accepting", "runtime"]
FILE = """
accounts:
  main: {vendor: smtp, host: 127.0.0.1, port: 1, security: plain}
  ops: {vendor: sendgrid, api_key: SG.x, base_url: "URL"}
alerts:
  to:
    - {account: main, address: ops@example.com, sender: tocsin@example.com}
    - {account: ops, address: ops@example.com, sender: tocsin@example.com}
"""


class Channel:
    """What alerts see of a channel."""

    def __init__(self) -> None:
        self.dead_letters: Counter[Reason] = Counter()
        self.found = {"main": Condition(AccountState.DISABLED, "535", 1_000)}

    def conditions(self) -> dict[str, Condition]:
        return self.found


def test_operators_are_mailed_of_an_account_that_is_refused_and_of_its_return(
    runtime: Runtime, accepting: ScriptedHttp, tmp_path: Path, redis_db: str
) -> None:
    (tmp_path / "providers.yaml").write_text(FILE.replace("URL", accepting.url))
    settings = Settings(providers=tmp_path / "providers.yaml", redis=redis_db)
    channel, meters = Channel(), Meters()
    channels: Any = {"email": channel}
    with ExitStack() as stack:
        start_alerts(settings, channels, runtime, meters, stack)
        until(lambda: len(accepting.requests) == 1, "the alert")
        channel.dead_letters[Reason.OUT_OF_ATTEMPTS] += 1
        until(lambda: len(accepting.requests) == 2, "the alert about what was given up")
        assert meters.alerts["skipped",] == 2, "by the refused account itself"
        channel.found = {}
        until(lambda: len(accepting.requests) == 3, "the end of the first")
    said = [request.body.decode() for request in accepting.requests]
    assert "account main is refused by its provider" in said[0]
    assert "1 email message given up" in said[1]
    assert "account main is back" in said[2]


def test_without_alerts_in_the_file_nothing_is_started(
    runtime: Runtime, tmp_path: Path, redis_db: str
) -> None:
    (tmp_path / "providers.yaml").write_text("accounts: {}\n")
    settings = Settings(providers=tmp_path / "providers.yaml", redis=redis_db)
    with ExitStack() as stack:
        start_alerts(settings, {}, runtime, Meters(), stack)
        assert stack.pop_all() is not None
