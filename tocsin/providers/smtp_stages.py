"""Stages of an SMTP transaction."""

from enum import Enum


class SmtpStage(Enum):
    """Step of the session that a reply answers."""

    CONNECT = "connect"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END = "end of data"
    REPORT = "report"
    """No step: a report of a server that has given up, by mail (`tocsin.bounces`)."""
