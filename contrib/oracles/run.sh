#!/usr/bin/env bash
# Lets foreign clients drive the simulated farm, and a foreign meter be read: run.sh HEADGATE PYTHON
# It must run in a network namespace of its own, because those clients insist on port 4028:
#   unshare -n bash contrib/oracles/run.sh target/release/headgate target/oracles-venv/bin/python
set -euo pipefail

headgate=$1
python=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# A namespace with a way out is not ours.
if [ -n "$(ip -4 route show; ip -6 route show default)" ]; then
  echo "run.sh: this network namespace has routes; start it with unshare -n" >&2
  exit 2
fi
ip link set lo up

"$python" "$here/drive_meter.py" "$headgate"

# Each farm in a namespace of its own, side by side: machines take their time.
beside() { unshare -n bash -c 'ip link set lo up && exec "$@"' beside "$@"; }

# The first 40 % of a mixed farm are the machines that are driven.
beside "$python" "$here/drive_luxos.py" \
  "$headgate" simfarm --port 4028 --machines 40 --seed 1 &
luxos=$!
beside "$python" "$here/drive_firmwares.py" "$headgate" simfarm --seed 1 &
firmwares=$!
failed=0
wait "$luxos" || failed=1
wait "$firmwares" || failed=1
exit "$failed"
