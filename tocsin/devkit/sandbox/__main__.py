"""`python -m tocsin.devkit.sandbox`: the provider sandbox as a process."""

import argparse
import gc
from pathlib import Path

import uvloop

from tocsin.devkit.sandbox.server import Policy, serve


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tocsin.devkit.sandbox", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="folder of sent.jsonl and the generated keys")
    parser.add_argument(
        "--http-port", type=int, default=0, help="SendGrid, Twilio, FCM and the viewer; 0: a free one"
    )
    parser.add_argument("--smtp-port", type=int, default=0, help="SMTP; 0: a free one")
    parser.add_argument("--h2-port", type=int, help="APNs over HTTP/2; 0: a free one; absent: no APNs")
    parser.add_argument("--latency-ms", type=int, default=0, help="how long every provider call takes")
    parser.add_argument("--keep", type=int, default=100_000, help="messages kept for the viewer")
    parser.add_argument("--keep-mb", type=int, default=256, help="about how much content is kept")
    parser.add_argument(
        "--tls", action="store_true", help="APNs over TLS and STARTTLS on SMTP, see tls-cert.pem"
    )
    parser.add_argument("--smtp-auth", action="store_true", help="refuse mail before AUTH")
    parser.add_argument("--redis", default="", help="Redis URL of the in-app inboxes, for the viewer")
    parser.add_argument("--inapp-prefix", default="tocsin:", help="prefix of their keys")
    parser.add_argument("--seed", type=int, default=0, help="which calls faults with a rate strike")
    return parser


def main() -> None:
    """Run the sandbox until it is told to stop."""
    given = _arguments().parse_args()
    policy = Policy(
        folder=given.dir,
        http_port=given.http_port,
        smtp_port=given.smtp_port,
        h2_port=given.h2_port,
        latency_ms=given.latency_ms,
        keep=given.keep,
        keep_bytes=given.keep_mb * 1024 * 1024,
        tls=given.tls,
        smtp_auth=given.smtp_auth,
        redis=given.redis,
        inapp_prefix=given.inapp_prefix,
        seed=given.seed,
    )
    # What the ring keeps has no cycles: the collector's full passes over it would only be pauses.
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)
    uvloop.run(serve(policy))


if __name__ == "__main__":
    main()
