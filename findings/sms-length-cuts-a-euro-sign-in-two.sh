#!/usr/bin/env bash
# sms-length counts a text message as two parts that no phone can be sent in two: a euro sign would be cut in half.
#
# Packages: sms-length 0.2.2 and split-sms 0.1.7 (npm).
# Seen: 152 letters, a euro sign and 152 letters. In the GSM alphabet the euro sign takes two places, an escape and a character, so the
# text takes 306 places, which is twice 153. sms-length says 2 messages, with none of the second left. But the escape would be the last
# place of the first part, and its character the first of the second, which is not allowed: the sign moves to the second part, and the
# last letter to a third. split-sms makes the three parts. With one letter less both say 2.
# Guess from memory: the number of parts is the number of places, divided by 153 and rounded up.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sms-length@0.2.2 split-sms@0.1.7 >/dev/null

cat >try.js <<'JS'
const { count } = require("sms-length");
const { split } = require("split-sms");

const seen = [152, 151].map((letters) => {
  const text = `${"a".repeat(152)}€${"a".repeat(letters)}`;
  const counted = count(text);
  const parts = split(text).parts.length;
  console.log(`152 letters, €, ${letters} letters: ${counted.length} places; sms-length ${counted.messages}, split-sms ${parts}`);
  return [counted.length, counted.messages, parts];
});
const same = JSON.stringify(seen) === JSON.stringify([[306, 2, 3], [305, 2, 2]]);
if (!same) {
  console.log("the behaviour has changed");
  process.exit(1);
}
JS
node try.js
