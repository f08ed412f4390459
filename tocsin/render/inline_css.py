"""Copies the rules of `<style>` into `style` attributes, since many mail clients read nothing else.

What no attribute can say stays in `<style>` as it was written, `!important` included: `@media`, `@font-face`,
`:hover`. A mail whose `<style>` has only such rules, or `:root`, is not touched. A block stays whole if its
tag has `data-css-inline="ignore"`, or a `media` other than `all` and `screen`.

The inliner parses the whole mail, which takes as long as rendering it. So it sees each structure of a mail
once: the texts and links, which differ from mail to mail, are taken out before and put back after.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

import css_inline

MEMO = 512  # structures of mails, some 10 kB each

_STYLE: Final = re.compile(r"<[sS][tT][yY][lL][eE]\b([^>]*)>(.*?)</[sS][tT][yY][lL][eE]\s*>", re.DOTALL)
_IGNORED: Final = re.compile(r"""\bdata-css-inline\s*=\s*["']?ignore""", re.IGNORECASE)
# css-inline 0.24 does not read `media`: it would give every screen the rules of a printer.
_MEDIA: Final = re.compile(r"""\bmedia\s*=\s*(?!["']?\s*(?:all|screen)\s*(?:["'>]|$))""", re.IGNORECASE)
_COMMENT: Final = re.compile(r"/\*.*?\*/|<!--|-->", re.DOTALL)
_AT_RULE: Final = re.compile(r"@[^{};]*(?:;|\{(?:[^{}]|\{[^{}]*\})*\})")
_STAYS: Final = re.compile(r":(?:root|hover|active|visited|focus|:)")
_SELECTORS: Final = re.compile(r"([^{}]*)\{[^{}]*\}")
# A pattern that begins with a fixed character finds it in C.
_TEXT: Final = re.compile(r">(\s*[^<>\s][^<>]*)(?=<)")
_LINK: Final = re.compile(r'="(https?:[^"<>]+)"')
_MARK, _END = "\ue000", "\ue001"  # private use: no parser gives them a meaning
_PLACE: Final = re.compile(f"{_MARK}(\\d+){_END}")
_INLINER: Final = css_inline.CSSInliner(
    keep_style_tags=True, keep_link_tags=True, remove_inlined_selectors=True, load_remote_stylesheets=False
)


class _Style(NamedTuple):
    """What a mail's `<style>` asks for; `reads_attributes` where a rule may look at what is taken out."""

    has_rules: bool
    reads_attributes: bool


def inline_css(html: str) -> str:
    """Return a mail with its rules inlined; one without such rules comes back as it is.

    Raises:
        css_inline.InlineError: the styles cannot be read.
    """
    styles = [css for attributes, css in _STYLE.findall(html) if not _stays(attributes)]
    if not styles:
        return html
    style = _read_style("\n".join(styles))
    if not style.has_rules:
        return html
    html = _STYLE.sub(_with_mark, html)
    if style.reads_attributes or _MARK in html:
        return _INLINER.inline(html)
    return _by_structure(html)


def _stays(attributes: str) -> bool:
    return bool(_IGNORED.search(attributes) or _MEDIA.search(attributes))


def _with_mark(style: re.Match[str]) -> str:
    """Mark a block that css-inline must leave alone."""
    if not _MEDIA.search(style[1]) or _IGNORED.search(style[1]):
        return style[0]
    return f'<style{style[1]} data-css-inline="ignore">{style[2]}</style>'


@lru_cache(MEMO)
def _read_style(css: str) -> _Style:
    rules = _AT_RULE.sub("", _COMMENT.sub("", css))
    selectors = [one.strip() for found in _SELECTORS.findall(rules) for one in found.split(",")]
    return _Style(any(not _STAYS.search(one) for one in selectors if one), "[" in rules)


def _by_structure(html: str) -> str:
    values: list[str] = []
    pieces, at = [], 0
    for style in _STYLE.finditer(html):
        pieces += [_without_values(html[at : style.start()], values), style[0]]
        at = style.end()
    pieces.append(_without_values(html[at:], values))
    fixed, places = _inlined("".join(pieces))
    filled = [""] * (len(fixed) + len(places))
    filled[::2] = fixed
    filled[1::2] = [values[place] for place in places]
    return "".join(filled)


def _without_values(html: str, values: list[str]) -> str:
    html = _marked(_TEXT.split(html), ">", "", values)
    return _marked(_LINK.split(html), '="', '"', values)


def _marked(pieces: list[str], before: str, after: str, values: list[str]) -> str:
    """Join what a pattern has split, with a numbered mark in the place of each value."""
    first = len(values)
    values += pieces[1::2]
    pieces[1::2] = [f"{before}{_MARK}{number}{_END}{after}" for number in range(first, len(values))]
    return "".join(pieces)


@lru_cache(MEMO)
def _inlined(structure: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    pieces = _PLACE.split(_INLINER.inline(structure))
    return tuple(pieces[::2]), tuple(map(int, pieces[1::2]))
