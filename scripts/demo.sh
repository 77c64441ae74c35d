#!/usr/bin/env bash
# Makes a small set of phantom radiographs, trains on it and tests the model; work that is done
# already is reused. Arguments go to the trainer, and DEMO_DIR replaces runs/demo.
set -euo pipefail

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
demo=${DEMO_DIR:-runs/demo}
# A relative DEMO_DIR is meant from where the user is.
case ${DEMO_DIR-} in
  '' | /* | gs://*) ;;
  *) demo=$PWD/$DEMO_DIR ;;
esac
cd "$root"

scripts/setup.sh
.venv/bin/radiograph prepare --source=phantom:1800 --out="$demo/data"
.venv/bin/radiograph train --config=configs/demo.py --config.data.path="$demo/data" \
  --workdir="$demo/run" "$@"
