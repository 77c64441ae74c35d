#!/usr/bin/env bash
# Shows runs in TensorBoard: scripts/tensorboard.sh RUN|FOLDER [RUN|FOLDER...] [its arguments]
# A FOLDER is one that holds runs, such as runs/. HParams and the charts compare all that are shown.
set -euo pipefail

fail() {
  echo "tensorboard: $*" >&2
  exit 1
}

# Whether a local folder is a run, or holds some.
holds_runs() {
  [[ -d $1 && -n $(find -L "$1" -maxdepth 4 -type d -name tensorboard -print -quit) ]]
}

# The folder of a run's events, so that its parts are called train, validation and test. One of an
# older version keeps its hyperparameters above them, where HParams finds them by the run alone.
events_of() {
  if [[ -d $1/tensorboard && -z $(find "$1/tensorboard" -maxdepth 1 -type f -print -quit) ]]; then
    echo "$1/tensorboard"
  else
    echo "$1"
  fi
}

root=$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")
# By default it leaves out pictures at random, all but ten steps of each.
names=() folders=() options=(--samples_per_plugin=images=1000)
while (($#)) && [[ $1 != -* ]]; do
  run=$1
  shift
  [[ $run == / ]] || run=${run%/}
  if [[ $run == gs://* ]]; then
    names+=("${run#gs://}")
    options+=(--load_fast=false) # the fast loader reads public buckets alone
  elif holds_runs "$run"; then
    names+=("$(realpath -s --relative-to=. "$run")")
  else
    fail "'$run' has no folder 'tensorboard', nor has a folder in it: name the --workdir of a" \
      'training run that has started, or a folder of such runs.'
  fi
  folders+=("$(events_of "$run")")
done

case ${#folders[@]} in
  0) fail 'name the run to show, as in scripts/tensorboard.sh runs/demo/run.' ;;
  1) shown=(--logdir "${folders[0]}") ;;
  *)
    spec=
    for number in "${!folders[@]}"; do
      [[ ${names[number]} != *[,:]* && ${folders[number]} != *,* ]] || fail "the name" \
        "'${names[number]}' has a comma or a colon, which separate runs here: rename it, or show" \
        'it alone.'
      spec+=",${names[number]}:${folders[number]}"
    done
    shown=(--logdir_spec "${spec:1}")
    ;;
esac

"$root/scripts/setup.sh"
# TensorFlow's notes about this processor are of no use here.
export TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=0
# Nor are 64 MiB of memory for each file of events in a bucket.
export GCS_READ_CACHE_BLOCK_SIZE_MB="${GCS_READ_CACHE_BLOCK_SIZE_MB:-16}"
exec "$root/.venv/bin/tensorboard" "${shown[@]}" "${options[@]}" "$@"
