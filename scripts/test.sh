#!/usr/bin/env bash
# Lints and tests: scripts/test.sh [pytest's arguments], as in scripts/test.sh -m 'not slow'
set -euo pipefail
cd "$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")"

scripts/setup.sh --test --profile
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m pytest "$@"
