"""Topics that wait: their next records cannot be decoded yet, because a schema is not there."""

from collections.abc import Mapping

_RETRY_S = 0.1
_OVER_S = 1.0  # longer than a topic with records takes to be tried again


class WaitingTopics:
    """Keeps the topics that wait, and when each is tried again.

    Another thread may read `sentences`.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, float]] = {}

    @property
    def sentences(self) -> Mapping[str, str]:
        """What each waiting topic waits for."""
        return {topic: f"{topic} waits: {sentence}" for topic, (sentence, _) in list(self._waiting.items())}

    def put_back(self, topic: str, sentence: str, now_s: float) -> None:
        """Note that records were put back: the topic is tried again in a moment."""
        self._waiting[topic] = sentence, now_s + _RETRY_S

    def must_wait(self, topic: str, now_s: float) -> bool:
        """Tell whether a topic must not be handed out now."""
        found = self._waiting.get(topic)
        return found is not None and now_s < found[1]

    def expire(self, now_s: float) -> None:
        """Forget topics that were tried again and put nothing back."""
        if self._waiting:
            over = [topic for topic, (_, retry_s) in self._waiting.items() if now_s >= retry_s + _OVER_S]
            for topic in over:
                del self._waiting[topic]
