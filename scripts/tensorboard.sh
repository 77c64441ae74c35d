#!/usr/bin/env bash
# Shows the curves of a run: scripts/tensorboard.sh RUN [TensorBoard's arguments]
set -euo pipefail

fail() {
  echo "tensorboard: $*" >&2
  exit 1
}

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
run=${1-}
run=${run%/}
case $run in
  '' | -*) fail 'name the run to show, as in scripts/tensorboard.sh runs/demo/run.' ;;
  # TensorBoard's fast loader reads public buckets alone.
  gs://*) set -- "$@" --load_fast=false ;;
  *)
    [[ -d $run/tensorboard ]] || fail "'$run' has no folder 'tensorboard': name the --workdir" \
      'of a training run that has started.'
    ;;
esac
shift

"$root/scripts/setup.sh"
exec "$root/.venv/bin/tensorboard" --logdir "$run/tensorboard" "$@"
