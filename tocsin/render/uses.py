"""Uses of templates: which template writes a notification, by itself or as a digest, and its samples."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tocsin.catalog.compile import CompiledNotification
from tocsin.render.names import Samples

SAMPLE: Final = "sample.json"
DIGEST_SAMPLE: Final = "digest.json"
DIGEST_FIELDS: Final = ("items", "count", "more", "key")
"""The `data` of a digest."""
_A_DIGEST: Final = "a sample digest with `items`, `count`, `more` and `key`"


class Use(NamedTuple):
    """A template, and whether it writes digests or single notifications."""

    template: str
    digest: bool = False

    @property
    def sample(self) -> str:
        """Name the file of its samples."""
        return f"{self.template}/{DIGEST_SAMPLE if self.digest else SAMPLE}"

    @property
    def content(self) -> str:
        """Say what its samples are."""
        return _A_DIGEST if self.digest else "the `data` of an event"


def uses_of(notification: CompiledNotification) -> list[Use]:
    """List how a notification is written. One that is only sent in digests is never written by itself.

    A limit with `overflow: digest` writes digests of a notification that has no `digest`, too.
    """
    digest = notification.digest
    arms = [(one.message.template, one.digest_template) for one in notification.variants if not one.holdout]
    arms = arms or [(notification.message.template, notification.digest_template)]
    single = list(dict.fromkeys(Use(template) for template, _ in arms))
    collected = list(dict.fromkeys(Use(template, digest=True) for _, template in arms))
    if digest is None:
        overflows = any(cap.overflow == "digest" for cap in notification.caps)
        return [*single, *collected] if overflows else single
    return [*single, *collected] if digest.plain_single or digest.overflow_only else collected


def by_template(samples: Mapping[Use, Samples]) -> dict[str, Samples]:
    """Join the samples of single notifications and of digests that one template writes."""
    found: dict[str, Samples] = {}
    for use, some in samples.items():
        found[use.template] = [*found.get(use.template, ()), *some]
    return found


def odd_digests(use: Use, samples: Samples) -> Iterator[str]:
    """Find samples of digests that lack what every digest has."""
    for number, sample in enumerate(samples if use.digest else ()):
        lacking = [field for field in DIGEST_FIELDS if not isinstance(sample, dict) or field not in sample]
        if lacking:
            yield f"sample {number} lacks {', '.join(lacking)}, add them"
