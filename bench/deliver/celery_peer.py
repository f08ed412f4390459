"""Celery with requests: the application, and what fills its queue. Runs in an environment of its own.

`celery -A bench.deliver.celery_peer worker` serves it, `python -m bench.deliver.celery_peer N` queues N
messages; both read the variables `BENCH_…`. A task is a message: JSON in Redis, a session with kept
connections in each process, no result.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
from celery import Celery  # type: ignore[import-not-found]  # in an environment of its own

sys.path.extend(filter(None, os.environ["BENCH_PACKAGES"].split(os.pathsep)))  # after Celery's own

from bench.deliver.accounts import request_of
from bench.deliver.hand_written import BODIES, Templates

QUEUE = "celery"
app = Celery("bench", broker=os.environ["BENCH_REDIS"])
app.conf.update(
    task_ignore_result=True, worker_prefetch_multiplier=4, broker_connection_retry_on_startup=True
)
_account: dict[str, Any] = json.loads(os.environ["BENCH_ACCOUNT"])
_channel = os.environ["BENCH_CHANNEL"]
_url, _headers = request_of(_channel, _account)
_templates = Templates(Path(os.environ["BENCH_CATALOG"]) / "templates")
_session = requests.Session()
if _account["ca"]:
    _ca = tempfile.NamedTemporaryFile("w", suffix=".pem")  # noqa: SIM115  # as long as the process
    _ca.write(_account["ca"])
    _ca.flush()
    _session.verify = _ca.name


@app.task(name="send")  # type: ignore[untyped-decorator]  # Celery is not in the environment of the checks
def send(message: dict[str, Any]) -> None:
    """Send one message."""
    body = BODIES[_channel](message, _templates.render(message))
    headers = _headers if isinstance(body, dict) else _headers | {"content-type": "application/json"}
    _session.post(_url, data=body, headers=headers, timeout=10).raise_for_status()


def fill(count: int) -> None:
    """Queue messages."""
    bodies = Path(os.environ["BENCH_MESSAGES"]).read_bytes().splitlines()
    with app.pool.acquire(block=True) as connection, app.amqp.Producer(connection) as producer:
        for number in range(count):
            raw = bodies[number % len(bodies)].replace(b"NUMBER", b"%032x" % number)
            send.apply_async([json.loads(raw.replace(b"USER", b"user-%08d" % number))], producer=producer)


if __name__ == "__main__":
    fill(int(sys.argv[1]))
