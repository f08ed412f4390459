"""Asks a judge of the sandbox what it thinks of a request."""

import json

from tocsin.devkit.sandbox.request_handler import Accepted, Vendor
from tocsin.devkit.sandbox.wire import Refusal, Request


def judged(vendor: Vendor, request: Request) -> Accepted | Refusal:
    """Return the verdict; anything but a verdict is a fault of the judge."""
    try:
        return vendor.judge(request)
    except Refusal as refusal:
        return refusal


def judged_in_form(vendor: Vendor, request: Request, *, highest: int = 499) -> Accepted | Refusal:
    """Return the verdict; a refusal has a body in JSON and a status of 400 to `highest`."""
    verdict = judged(vendor, request)
    if isinstance(verdict, Refusal):
        assert 400 <= verdict.reply.status <= highest
        assert json.loads(verdict.reply.body)
    return verdict
