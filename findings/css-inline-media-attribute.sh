#!/usr/bin/env bash
# css-inline copies the rules of <style media="print"> into style attributes, as if they held for every screen.
#
# Packages: css-inline 0.24.0.
# Seen: <style media="print">p { display: none; }</style> hides the paragraph everywhere: it becomes
# <p style="display: none;">, with default options as well as with keep_at_rules or keep_style_tags. The same rule inside
# @media print is not inlined. Mails made by MJML have a <style media="screen and (min-width:480px)"> with the widths of
# their columns.
# Guess from memory: an inliner that leaves @media alone leaves <style media=…> alone too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet css-inline==0.24.0

cat >"$folder/try.py" <<'PY'
import sys

import css_inline

HTML = "<html><head>{}</head><body><p>Hi</p></body></html>"
BY_ATTRIBUTE = HTML.format('<style media="print">p { display: none; }</style>')
BY_RULE = HTML.format("<style>@media print { p { display: none; } }</style>")
HIDDEN = '<p style="display: none;">'

for options in ({}, {"keep_at_rules": True}, {"keep_style_tags": True}):
    inliner = css_inline.CSSInliner(**options)
    found = [HIDDEN in inliner.inline(html) for html in (BY_ATTRIBUTE, BY_RULE)]
    print(f"{options}: media attribute inlined: {found[0]}, @media inlined: {found[1]}")
    if found != [True, False]:
        sys.exit("changed: css-inline treats the media attribute and @media alike")
PY
"$folder/venv/bin/python" "$folder/try.py"
