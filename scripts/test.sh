#!/usr/bin/env bash
# Lints, checks imports and types, and tests: scripts/test.sh [--all] [pytest's arguments]
#
#   scripts/test.sh                    all but the tests marked long
#   scripts/test.sh -m 'not slow' tests/metrics
#                                      the fast loop
#   scripts/test.sh --all              the long ones too, and those of Apache Beam in .venv-beam
set -euo pipefail
cd "$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")"

selection=
arguments=()
all=
while (($#)); do
  case $1 in
    --all) all=1 ;;
    -m) selection=${2?-m needs an expression} && shift ;;
    -m*) selection=${1#-m} ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
beam=$all
[[ -z $selection && ${#arguments[@]} == 0 ]] || beam=
# Most tests keep one core busy; those of a file share what they train, and tests/conftest.py puts
# the files that take longest first.
((${#arguments[@]})) || arguments=(-n 2 --dist loadfile --no-loadscope-reorder)
[[ $all ]] || selection=${selection:+"($selection) and "}'not long'

folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || :; rm -r "$folder"' EXIT
caches=()
if [[ ! -w . ]]; then # what the tools remember goes elsewhere
  export RUFF_CACHE_DIR=$folder/ruff MYPY_CACHE_DIR=$folder/mypy
  caches=(-o "cache_dir=$folder/pytest")
fi

test_beam() {
  if scripts/setup.sh --beam; then
    .venv-beam/bin/python -m pytest "${caches[@]}" tests/data/prepare/test_beam_backend.py
  else
    echo 'Apache Beam could not be installed (see above): its tests were left out.' >&2
  fi
}

scripts/setup.sh --test --profile
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/lint-imports --no-cache --no-logo
.venv/bin/python -m mypy
# To install Beam is to wait for a network, most of the time.
[[ ! $beam ]] || test_beam &>"$folder/beam" &
status=0
.venv/bin/python -m pytest -m "$selection" "${caches[@]}" "${arguments[@]}" || status=$?
wait $! || status=$?
[[ ! $beam ]] || cat "$folder/beam"
exit $status
