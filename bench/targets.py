"""Targets: what a bench must reach, beside what it reached."""

from typing import Any, NamedTuple


class Target(NamedTuple):
    """A figure, and the least or the most that it may be.

    >>> Target(3.0, at_most=2).told()
    {'reached': 3.0, 'target': '<= 2', 'met': False}
    """

    reached: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def met(self) -> bool:
        """Return whether the figure is within its bounds."""
        above = self.at_most is not None and self.reached > self.at_most
        return not above and (self.at_least is None or self.reached >= self.at_least)

    def told(self) -> dict[str, Any]:
        """Return it as benches print it."""
        bounds = [f"<= {self.at_most:g}"] if self.at_most is not None else []
        bounds += [f">= {self.at_least:g}"] if self.at_least is not None else []
        return {"reached": self.reached, "target": " and ".join(bounds), "met": self.met}


def told(targets: dict[str, Target]) -> dict[str, dict[str, Any]]:
    """Return targets by name, as benches print them."""
    return {name: target.told() for name, target in targets.items()}
