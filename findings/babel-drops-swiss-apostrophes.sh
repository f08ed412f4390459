#!/usr/bin/env bash
# Babel drops the thousands separators of Swiss numbers from one million on, and two of three from a billion on.
#
# Packages: babel 2.19.0 (CLDR 49, whose Swiss separator is the ASCII apostrophe).
# Seen, with de_CH: 123456 is "123'456", 1234567 is "1234567", and 12345678901 is "12345678'901". format_currency() does the
# same: "CHF 1234567.50", "CHF 12345678'901.00". So do en_CH, fr_CH, it_CH and de_LI. After it has put the separators in,
# Babel removes the quotes of a pattern from the result, and takes each pair of apostrophes for quotes.
# Guess from memory: a library that groups 123'456 groups 1'234'567, too; tests with prices of thousands pass.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet babel==2.19.0

cat >"$folder/try.py" <<'PY'
import sys

from babel.numbers import format_currency, format_decimal

LOCALES = ("de_CH", "en_CH", "fr_CH", "it_CH", "de_LI")
NUMBERS = (123456, 1234567, 12345678901)
STATED = ("123'456", "1234567", "12345678'901")

for locale in LOCALES:
    seen = tuple(format_decimal(number, locale=locale) for number in NUMBERS)
    print(f"{locale}: {', '.join(seen)}")
    if seen != STATED:
        sys.exit("changed: Babel groups Swiss numbers in another way")
money = [format_currency(number, "CHF", locale="de_CH").replace("\u00a0", " ") for number in NUMBERS]
print(f"money in de_CH: {', '.join(money)}")
if money != ["CHF 123'456.00", "CHF 1234567.00", "CHF 12345678'901.00"]:
    sys.exit("changed: Babel groups Swiss money in another way")
PY
"$folder/venv/bin/python" "$folder/try.py"
