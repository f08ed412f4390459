"""Draws plots as SVG in HTML: no script, no file, readable in dark and light, the numbers as text."""

from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

_WIDTH: Final = 860
_ROW: Final = 30
_LABEL: Final = 300
_NUMBER: Final = 76
_BAR: Final = 16
_MIN: Final = 2.0


class Bar(NamedTuple):
    """A row of a plot: its label, and the two numbers that it compares."""

    label: str
    before: int
    after: int


def changes_plot(title: str, bars: Sequence[Bar]) -> str:
    """Draw how many more or fewer: bars to the right or the left of a middle line.

    >>> "+2" in changes_plot("Sent", [Bar("a", 1, 3)])
    True
    """
    most = max((abs(bar.after - bar.before) for bar in bars), default=0) or 1
    middle = _LABEL + (_WIDTH - _LABEL) / 2
    room = (_WIDTH - _LABEL) / 2 - _NUMBER
    rows = [_change(bar, number, middle, room / most) for number, bar in enumerate(bars)]
    height = _ROW * len(bars)
    line = f'<line class="axis" x1="{middle}" x2="{middle}" y1="0" y2="{height}"/>'
    return _svg(title, height, [line, *rows])


def _change(bar: Bar, number: int, middle: float, scale: float) -> str:
    more, top = bar.after - bar.before, _ROW * number
    width = max(_MIN, abs(more) * scale) if more else 0
    left = middle if more >= 0 else middle - width
    kind = "more" if more >= 0 else "fewer"
    end = left + width + 6 if more >= 0 else left - 6
    anchor = "start" if more >= 0 else "end"
    return (
        f"{_label(bar.label, top)}"
        f'<rect class="{kind}" x="{left:.1f}" y="{top + 7}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        f'<text x="{end:.1f}" y="{top + 20}" text-anchor="{anchor}">{signed(more)}</text>'
    )


def signed(number: int) -> str:
    """Write a number with its sign.

    >>> signed(1200), signed(-3)
    ('+1,200', '−3')
    """
    return f"{number:+,}".replace("-", "−")


def pairs_plot(title: str, bars: Sequence[Bar]) -> str:
    """Draw two bars a row, before and after."""
    most = max((max(bar.before, bar.after) for bar in bars), default=0) or 1
    room = (_WIDTH - _LABEL) - _NUMBER
    rows = [_pair(bar, number, room / most) for number, bar in enumerate(bars)]
    return _svg(title, 2 * _ROW * len(bars), rows)


def _pair(bar: Bar, number: int, scale: float) -> str:
    top = 2 * _ROW * number
    return (
        f"{_label(bar.label, top + _ROW // 2)}"
        f"{_plain('before', bar.before, top + 6, scale)}{_plain('after', bar.after, top + 28, scale)}"
    )


def _plain(kind: str, value: int, top: int, scale: float) -> str:
    width = max(_MIN, value * scale) if value else 0
    return (
        f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>'
        f'<text x="{_LABEL + width + 6:.1f}" y="{top + 13}">{value:,}</text>'
    )


def _label(text: str, top: int) -> str:
    short = text if len(text) <= 44 else f"{text[:43]}…"
    return f'<text class="label" x="{_LABEL - 10}" y="{top + 20}" text-anchor="end">{escape(short)}</text>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {_WIDTH} {height}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
