"""What follows a provider call without an answer: the message may have been sent."""

from typing import Literal

OnUnknown = Literal["resend", "drop", "ask", "ask_or_drop"]
"""The policies.

| policy | effect |
|---|---|
| `resend` | send it again, and say so |
| `drop` | end it as dead |
| `ask` | ask the provider; send it again if the provider does not have it, or cannot be asked |
| `ask_or_drop` | the same, but end it as dead if the provider cannot be asked |
"""

ASKS = frozenset({"ask", "ask_or_drop"})
"""Policies that ask the provider first."""
