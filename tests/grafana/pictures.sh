#!/bin/sh
# Draws all boards with Grafana's own components in Chromium: with all well, with faults, and with the exporter stopped.
# Takes over the ports of the demo, which it starts. The pictures are in target/pictures.
set -eu
cd "$(dirname "$0")/../.."
peers=target/peers/pictures
out=target/pictures
control=http://127.0.0.1:17000/faults
prometheus=http://127.0.0.1:17090
faults="api-hang certificate-near-expiry credential-gitlab-ends-soon credential-github-refused guide-gone litellm-crash mirror-stale
    node-disk-pressure oregon-record-deleted pull-secret-wrong-password registry-rate-limit-low rotation-run-failed storage-critical"

# One of its parts would come from GitHub and not from the registry; the table that is drawn here does without it.
if [ ! -e "$peers/node_modules/@grafana/ui/package.json" ]; then
    mkdir -p "$peers"
    printf '%s\n' '{ "private": true, "overrides": { "react-data-grid": "7.0.0-beta.56" }, "dependencies": {' \
        '"@grafana/data": "12.3.0", "@grafana/ui": "12.3.0", "@grafana/schema": "12.3.0", "react": "18.3.1", "react-dom": "18.3.1",' \
        '"rxjs": "7.8.2", "esbuild": "0.25.12" } }' > "$peers/package.json"
    npm install --silent --no-audit --no-fund --legacy-peer-deps --prefix "$peers"
fi

target/debug/examples/demo > target/pictures.log 2>&1 &
demo=$!
exporter=""
ended() {
    [ -z "$exporter" ] || kill -CONT "$exporter" 2>/dev/null || true
    kill -INT "$demo" 2>/dev/null || true
    wait "$demo" 2>/dev/null || true
}
trap ended EXIT
until grep -q "Ctrl-C" target/pictures.log; do
    kill -0 "$demo" 2>/dev/null || { cat target/pictures.log >&2; exit 1; }
    sleep 1
done
exporter="$(ps -o pid=,args= --ppid "$demo" | awk '/readiness-exporter/ { print $1 }')"
draw() { SECONDS_BACK="$1" node tests/grafana/pictures.mjs "$peers" "$prometheus" "$out" "$2" "$3"; }

sleep 45
draw 60 healthy dark
draw 60 healthy-light light
for fault in $faults; do curl -sf -o /dev/null -X POST "$control/$fault"; done
sleep 45
draw 120 broken dark
draw 120 broken-light light
kill -STOP "$exporter"
# Two scrapes must fail before Prometheus says so.
sleep 25
draw 180 blind dark
echo "The pictures are in $out; look at them."
