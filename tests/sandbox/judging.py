"""Asks a judge of the sandbox what it thinks of a request."""

from tocsin.devkit.sandbox.request_handler import Accepted, Vendor
from tocsin.devkit.sandbox.wire import Refusal, Request


def judged(vendor: Vendor, request: Request) -> Accepted | Refusal:
    """Return the verdict; anything but a verdict is a fault of the judge."""
    try:
        return vendor.judge(request)
    except Refusal as refusal:
        return refusal
