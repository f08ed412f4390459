#!/usr/bin/env bash
# Prism's mock server with --errors answers HTTP 500 to a right request, because the answer that it made up itself breaks the
# contract.
#
# Packages: @stoplight/prism-cli 5.14.2 (npm).
# Seen: the contract says that the answer's `sid` has the pattern ^SM[0-9a-f]{32}$ and 34 characters. Prism makes up a text of
# 34 characters without looking at the pattern, then checks it, and answers 500 "Request/Response not valid". The same request
# gets 201 if the contract has an example instead of the pattern. A request that breaks the contract gets 422 in both cases.
# Twilio's published contract has such patterns, so each right request to its mock fails.
# Guess from memory: a mock makes up answers that keep the contract; --errors judges what clients send.
set -euo pipefail
folder=$(mktemp -d)
server=""
trap 'test -z "$server" || kill "$server"; rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" @stoplight/prism-cli@5.14.2 >"$folder/npm.log" 2>&1

contract() {
  cat <<JSON
{"openapi": "3.0.1", "info": {"title": "t", "version": "1"}, "paths": {"/messages": {"post": {
  "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {
    "type": "object", "required": ["To"], "properties": {"To": {"type": "string"}}}}}},
  "responses": {"201": {"description": "made", "content": {"application/json": $1}}}}}}}
JSON
}

# Prints the HTTP status of a right request, and of one without the field that the contract wants.
statuses() {
  local port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$folder/node_modules/.bin/prism" mock --errors -h 127.0.0.1 -p "$port" "$1" >"$folder/prism.log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    curl -s -o /dev/null "http://127.0.0.1:$port/" && break
    sleep 0.2
  done
  for form in To=1 Other=1; do
    curl -s -o /dev/null -w '%{http_code} ' -d "$form" "http://127.0.0.1:$port/messages"
  done
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=""
}

contract '{"schema": {"type": "object", "properties": {"sid": {
  "type": "string", "minLength": 34, "maxLength": 34, "pattern": "^SM[0-9a-f]{32}$"}}}}' >"$folder/pattern.json"
contract '{"example": {"sid": "SM0123456789abcdef0123456789abcdef"}}' >"$folder/example.json"
with_pattern=$(statuses "$folder/pattern.json")
with_example=$(statuses "$folder/example.json")
if [ "$with_pattern/$with_example" != "500 422 /201 422 " ]; then
  echo "Prism answers $with_pattern with a pattern and $with_example with an example: it has changed." >&2
  exit 1
fi
echo "as stated: $with_pattern with a pattern, $with_example with an example"
