"""What a tenant wants to know of its messages: whether they are opened, and which links are followed."""

import difflib
from collections.abc import Collection, Iterator

from pydantic import BaseModel, Field

from tocsin.catalog.files import Document, Problem
from tocsin.catalog.scalars import STRICT, Duration

_DAY_MS = 86_400_000


class Tracking(BaseModel):
    """Whether openings and clicks are counted. All of it is off until a tenant wants it.

    Attributes:
        opens: mails have an image of one point that the gateway serves.
        clicks: links of mails lead through the gateway, which redirects.
        sms: links of text messages, too. They become some 130 characters longer.
        except_categories: whose messages are left as they are.
        expires_ms: how long after its decision something counts; an older link asks before it leads on.
        url: public address of the gateway for these links, where a tenant has its own name for it; empty for
            `TOCSIN_GATEWAY_URL`.
    """

    model_config = STRICT

    opens: bool = False
    clicks: bool = False
    sms: bool = False
    except_categories: list[str] = []
    expires_ms: Duration = Field(default=90 * _DAY_MS, alias="expires")
    url: str = Field(default="", pattern=r"^(https?://[^\s<>\"'?#]+)?$")

    def is_on(self) -> bool:
        """Tell whether anything is counted."""
        return self.opens or self.clicks or self.sms


def tracking_problems(
    document: Document, settings: Tracking, categories: Collection[str]
) -> Iterator[Problem]:
    """Find categories that do not exist, and settings that change nothing."""
    for at, name in enumerate(settings.except_categories):
        if name not in categories:
            close = difflib.get_close_matches(name, categories, 1)
            cure = f"did you mean `{close[0]}`?" if close else f"write one of {', '.join(sorted(categories))}"
            yield document.problem(
                ("tracking", "except_categories", at), f"no category is called `{name}`, {cure}"
            )
    if not settings.is_on() and (settings.url or settings.except_categories):
        text = "nothing is tracked, add `opens: true`, `clicks: true` or `sms: true`"
        yield document.problem(("tracking",), text)
