#!/usr/bin/env bash
# Every check that runs no test: style, types, import rules, usual holes, known holes. All run; the first failure counts.
# --without-audit: known holes are not looked for, so nothing outside is asked.
# STRICT=1: also fails where the service that knows of holes cannot be asked.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
audit=("python -m scripts.audit")
[ "${1:-}" != --without-audit ] || audit=()
exec scripts/keep_going.sh \
    "ruff check ." \
    "ruff format --check ." \
    "mypy" \
    "mypy --config-file deploy/airflow/pyproject.toml" \
    "lint-imports --no-logo" \
    "bandit --quiet --configfile pyproject.toml --recursive bridge deploy scripts" \
    "${audit[@]}"
