#!/usr/bin/env bash
# 200 CheckAge calls at once against a server with default settings, with ghz (go install github.com/bojand/ghz/cmd/ghz@latest).
# Prints ghz's summary by status, then the server's peak memory. Every call must end: OK or RESOURCE_EXHAUSTED.
set -euo pipefail
cd "$(dirname "$0")/.."
idgate=target/release/idgate
data=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$data"' EXIT
"$idgate" serve --data-dir "$data" --listen 127.0.0.1:50061 --admin 127.0.0.1:50062 2>"$data/log" &
server=$!
until curl -fs http://127.0.0.1:50062/readyz >/dev/null; do kill -0 "$server"; read -rt 0.2 <> <(:) || true; done
token=$("$idgate" token mint --data-dir "$data" --relying-party bench)
image=$(base64 -w0 tests/golden/cards/kr_resident_adult.jpg)
cat >"$data/body.json" <<JSON
{"subject_ref": "s-{{.RequestNumber}}", "jurisdiction": "KR", "purpose": "PURPOSE_SIGNUP",
 "image": "$image", "idempotency_key": "k-{{.RequestNumber}}"}
JSON
ghz --config bench/ghz/burst.json --metadata "{\"authorization\": \"Bearer $token\"}" --data-file "$data/body.json" 127.0.0.1:50061
grep -E 'VmHWM|VmRSS' "/proc/$server/status"
