#!/usr/bin/env bash
# Makes the pinned sets from the ranges in setup.py: requirements/compile.sh [--upgrade]
# One file serves every supported Python and machine through environment markers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check uv==0.13.9 'setuptools<81'

# What setup.py requires: ranges EXTRA, or ranges '' for the part without extras.
ranges() {
  "$tools/bin/python" - "$1" <<'PY'
import runpy, sys, setuptools

def show(install_requires, extras_require, **_):
    print(*(extras_require[sys.argv[1]] if sys.argv[1] else install_requires), sep="\n")

setuptools.setup = show
runpy.run_path("setup.py")
PY
}

# pin NAME [uv's options]: reads ranges, writes requirements/NAME.txt.
pin() {
  local out=requirements/$1.txt
  "$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 \
    --fork-strategy requires-python --no-header --no-annotate --no-emit-index-url \
    --no-emit-find-links --output-file "$out" "${@:2}" - >/dev/null
  printf '%s\n' '# Made by requirements/compile.sh from setup.py; do not edit.' \
    "$(grep -v '^#' "$out")" >"$tools/pinned"
  cat "$tools/pinned" >"$out"
  echo "$out: $(grep -c == "$out") pins"
}

# google-cloud-aiplatform, of the tests, goes with no later one.
echo 'python-dateutil<3' >"$tools/held"
for accelerator in cpu gpu tpu; do
  { ranges '' && ranges "$accelerator"; } | pin "$accelerator" --constraint "$tools/held" "$@"
done
{ ranges '' && ranges cpu && ranges beam; } | pin beam "$@"
# scipy and the like must be the ones that every set has already, and the tests' those of users.
chosen=(--constraint requirements/cpu.txt)
for addition in test profile export serve dicom mlflow wandb peers; do
  ranges "$addition" | pin "$addition" "${chosen[@]}" "$@"
  [[ $addition != test ]] || chosen+=(--constraint requirements/test.txt)
done
