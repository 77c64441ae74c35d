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
[[ $all ]] || selection=${selection:+"($selection) and "}'not long'

if [[ ! -w . ]]; then # what the tools remember goes elsewhere
  caches=$(mktemp -d)
  trap 'rm -r "$caches"' EXIT
  export RUFF_CACHE_DIR=$caches/ruff MYPY_CACHE_DIR=$caches/mypy
  arguments+=(-o "cache_dir=$caches/pytest")
fi

scripts/setup.sh --test --profile
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/lint-imports --no-cache --no-logo
.venv/bin/python -m mypy
.venv/bin/python -m pytest -m "$selection" "${arguments[@]}"
if [[ $beam ]]; then
  if scripts/setup.sh --beam; then
    .venv-beam/bin/python -m pytest "${arguments[@]}" tests/data/prepare/test_beam_backend.py
  else
    echo 'Apache Beam could not be installed (see above): its tests were left out.' >&2
  fi
fi
