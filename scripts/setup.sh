#!/usr/bin/env bash
# Makes .venv in the repository's root with the pinned packages, if that is not done yet.
#
#   scripts/setup.sh [--test] [--profile] [--export] [--serve] [--dicom] [--mlflow] [--wandb]
#                               [--peers]
#                               --test: with the tools for scripts/test.sh, all below but
#                               --peers among them
#                               --profile: with TensorBoard's dashboard for profiles
#                               --export, --serve, --dicom, --mlflow, --wandb: with what these
#                               commands and loggers need besides
#                               --peers: with what scripts/benchmark.py measures beside the job
#   scripts/setup.sh --beam     makes .venv-beam instead: Apache Beam, which needs older packages
#                               than the test tools, and pytest for its tests
#   PYTHON=python3.12           which Python (default: the first suitable one)
#   ACCELERATOR=gpu             which TensorFlow: cpu, gpu or tpu (default: as installed, or cpu)
set -euo pipefail

fail() {
  echo "setup: $*" >&2
  exit 1
}

# Prints the version of the Python $1, and succeeds if it runs and is one of those supported.
version() {
  "$1" -I -c 'import sys; v = sys.version_info[:2]; print("python %d.%d" % v)
sys.exit(not (3, 11) <= v < (3, 14))' 2>/dev/null
}

# Shows that pip is at work, with a dot for each package.
progress() {
  while read -r word _; do
    [[ $word != Collecting && $word != Installing ]] || printf .
  done
}

# A relative PYTHON is meant from where the user is.
case ${PYTHON-} in
  /*) ;;
  */*) PYTHON=$PWD/$PYTHON ;;
esac
cd "$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")"
if [[ $* == --beam ]]; then
  set --
  venv=.venv-beam stamp=.venv-beam/stamp accelerator=beam
else
  venv=.venv stamp=.venv/stamp installed=
  [[ ! -f $stamp ]] || read -r installed _ <"$stamp" || :
  accelerator=${ACCELERATOR:-${installed:-cpu}}
  case $accelerator in
    cpu | gpu | tpu) ;;
    *) fail "ACCELERATOR is '$accelerator', but must be cpu, gpu or tpu." ;;
  esac
fi
sets=("requirements/$accelerator.txt")
for option; do
  case $option in
    --test | --profile | --export | --serve | --dicom | --mlflow | --wandb | --peers)
      sets+=("requirements/${option#--}.txt")
      ;;
    *)
      fail "unknown argument '$option': the options are --test, --profile, --export, --serve," \
        '--dicom, --mlflow, --wandb and --peers, or --beam alone.'
      ;;
  esac
done

asked=
if [[ -n ${PYTHON-} ]]; then
  asked=$(version "$PYTHON") ||
    fail "PYTHON is '$PYTHON', which is no working Python 3.11 to 3.13: set it to one or unset it."
fi

# Two at once would spoil each other's work.
exec 9<requirements
flock -n 9 || { echo 'Waiting for another setup to finish' && flock 9; }

# The stamp tells what the environment holds: these lines, and which Python. The place is among
# them as a virtual environment cannot be moved.
place="$accelerator in $PWD"
wanted=$(printf '%s\n' "$place" ${asked:+"$asked"} && sha256sum setup.py "${sets[@]}")
if [[ -f $stamp && -x $venv/bin/python ]] && ! grep -qvxFf "$stamp" <<<"$wanted"; then
  exit
fi

# An environment of another accelerator or Python, or with an unfinished install, is made anew;
# one without a stamp is the user's own and kept.
reusable() {
  local have
  have=$(version $venv/bin/python) && [[ -z $asked || $have == "$asked" ]] &&
    $venv/bin/python -I -m pip --version &>/dev/null &&
    { [[ ! -e $stamp ]] || grep -qxF "$place" "$stamp"; }
}

if ! reusable; then
  python=${PYTHON-}
  for candidate in python3.11 python3.12 python3.13 python3; do
    [[ -n $python ]] || ! version "$candidate" >/dev/null || python=$candidate
  done
  [[ -n $python ]] || fail 'no working Python 3.11 to 3.13 found: install one or name it,' \
    'as in PYTHON=/path/to/python3.11 scripts/setup.sh.'
  if ! "$python" -I -m venv --clear --without-pip $venv &>/dev/null ||
    ! echo "$accelerator unfinished" >"$stamp" ||
    ! $venv/bin/python -I -m ensurepip --default-pip &>/dev/null; then
    fail "$python cannot make a virtual environment with pip: install its venv module" \
      '(on Debian and Ubuntu: apt-get install python3-venv) or set PYTHON to another one.'
  fi
fi
echo "$accelerator unfinished" >"$stamp"

install() {
  $venv/bin/python -I -m pip --disable-pip-version-check install "$@" 2>&1 |
    tee -a $venv/install.log | progress
}

printf 'Installing %s into %s (some minutes the first time) ' "${sets[*]}" $venv
: >$venv/install.log
# The package needs no isolated build: setuptools is among the pinned.
if ! install "${sets[@]/#/--requirement=}" ||
  ! { [[ $venv == .venv ]] ||
    install --constraint=requirements/test.txt pytest pytest-timeout; } ||
  ! install --no-deps --no-build-isolation --editable .; then
  echo
  says=$(sed -n 's/^ERROR: *\(.*[^.]\)\.*$/, pip says: \1/p' $venv/install.log | tail -n 1)
  fail "the installation failed$says; see $venv/install.log, then run this again."
fi
echo ' done'
printf '%s\n' "$wanted" "$(version $venv/bin/python)" >"$stamp"
