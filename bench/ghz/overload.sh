#!/usr/bin/env bash
# Overload: capacity first (closed loop), then 1, 2, 5 and 10 times as many CheckAge calls a second as that, whether or
# not the server keeps up (open loop), each with a deadline, with GetDecision beside. Prints one table. Answers for each
# second of processor time show what refusing costs, also when others use the machine meanwhile.
# Needs ghz (go install github.com/bojand/ghz/cmd/ghz@latest), Python 3, and `cargo build --release`.
# Settings: GHZ, SECONDS_EACH (of a level), SECONDS_FIRST (of the capacity), LEVELS, IDGATE_OCR (lines of `[ocr]`), and
# SERVER_CPUS and CLIENT_CPUS (lists for taskset), so that the client takes nothing from what it measures.
set -euo pipefail
cd "$(dirname "$0")/../.."
idgate=${IDGATE:-target/release/idgate}
ghz=${GHZ:-ghz}
each=${SECONDS_EACH:-60}
first=${SECONDS_FIRST:-30}
levels=${LEVELS:-1 2 5 10}
at=127.0.0.1:50061
admin=127.0.0.1:50062
server_runs=(${SERVER_CPUS:+taskset --cpu-list "$SERVER_CPUS"})
client_runs=(${CLIENT_CPUS:+taskset --cpu-list "$CLIENT_CPUS"})
data=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$data"' EXIT

cat bench/ghz/overload.toml >"$data/idgate.toml"
printf '[ocr]\n%s\n' "${IDGATE_OCR:-}" >>"$data/idgate.toml"
"${server_runs[@]}" "$idgate" serve --config "$data/idgate.toml" --data-dir "$data" --listen "$at" --admin "$admin" 2>"$data/log" &
server=$!
until curl -fs "http://$admin/readyz" >/dev/null; do kill -0 "$server"; read -rt 0.2 <> <(:) || true; done
token=$("$idgate" token mint --data-dir "$data" --relying-party bench)
bearer="{\"authorization\": \"Bearer $token\"}"
image=$(base64 -w0 tests/golden/cards/kr_resident_adult.jpg)
body='{"subject_ref": "{{newUUID}}", "jurisdiction": "KR", "purpose": "PURPOSE_SIGNUP", "idempotency_key": "{{newUUID}}",'
printf '%s "image": "%s"}' "$body" "$image" >"$data/read.json"

# reads NAME ARGUMENTS...: CheckAge calls; what came of them lies in NAME.reads.
reads() {
  "${client_runs[@]}" "$ghz" --config bench/ghz/read.json --metadata "$bearer" --data-file "$data/read.json" \
    --duration-stop wait "${@:2}" "$at" >"$data/$1.reads"
}
# looks NAME SECONDS: GetDecision calls.
looks() {
  "${client_runs[@]}" "$ghz" --config bench/ghz/look.json --metadata "$bearer" --data "{\"decision_id\": \"$decision\"}" \
    --duration "${2}s" --duration-stop wait "$at" >"$data/$1.looks"
}
# The most memory that the server has held since it was last asked, in kilobytes.
peak() {
  awk '/VmHWM/ { print $2 }' "/proc/$server/status" >"$data/$1.peak"
  echo 5 >"/proc/$server/clear_refs" 2>/dev/null || true
}
# The processor time that the server has used, in hundredths of a second.
used() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }

# One decision to look at: declared, so that it needs no picture.
decision=$("$ghz" --insecure --call idgate.v1.AgeGateService.CheckAge --metadata "$bearer" -n 1 -c 1 --debug "$data/debug" \
  --data '{"subject_ref": "one", "jurisdiction": "KR", "purpose": "PURPOSE_SIGNUP", "idempotency_key": "one", "declared_birth_date": "2016-01-01"}' \
  -O json "$at" >/dev/null; grep -oE 'decision_?[iI]d[^0-9a-f]{1,6}[0-9a-f-]{36}' "$data/debug" | grep -oE '[0-9a-f-]{36}$' | head -n 1)
[ -n "$decision" ] || { echo 'no decision was made' >&2; exit 1; }

# The machine's load, which says how far others disturbed the run.
load() { cut -d' ' -f1 /proc/loadavg; }
before=$(load)
reads capacity --concurrency 3 --connections 3 --duration "${first}s"
peak capacity
capacity=$(python3 bench/ghz/overload.py capacity "$data/capacity.reads")
echo "capacity, 3 calls at a time: $capacity readings a second (load of the machine before: $before)"
for times in $levels; do
  # Idle again each time, for others may use the machine more or less than before.
  looks "$times.idle" 10
  begun=$(used)
  # As many workers as calls can be open at once: their deadline is ten seconds.
  rps=$(python3 -c "print(max(1, round($capacity * $times)))")
  reads "$times" --async --rps "$rps" --concurrency "$((rps * 12))" --duration "${each}s" &
  reading=$!
  looks "$times" "$each"
  wait "$reading"
  echo "$(($(used) - begun)) $(load)" >"$data/$times.used"
  peak "$times"
done
python3 bench/ghz/overload.py table "$data" "$each" $levels
curl -fs "http://$admin/metrics" | grep -E '^idgate_refusals_total' || true
