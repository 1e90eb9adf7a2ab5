#!/usr/bin/env bash
# Make one virtual environment hold exactly what a lock file says.
#
#   install.sh bridge     .venv holds requirements/dev.txt and this project, editable
#   install.sh airflow    .venv-airflow holds requirements/airflow.txt; needs .venv
#
# Needs python3 (3.11 or newer, or $PYTHON) with its venv module, and nothing else: pip brings uv, checked
# against its hash, and uv brings the rest, checked against theirs. Repeating it changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$python is older than Python 3.11: set PYTHON to a newer one, as in 'make setup PYTHON=python3.12'" >&2
    exit 1
}

case ${1:-} in
bridge) venv=.venv ;;
airflow) venv=.venv-airflow ;;
*)
    echo "usage: install.sh bridge|airflow" >&2
    exit 2
    ;;
esac

# A mirror that pip was told about is for uv too, which does not read pip's configuration.
index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}" ]; then
    export UV_DEFAULT_INDEX="$index"
fi
export UV_PYTHON_DOWNLOADS=never

if [ ! -x "$venv/bin/python" ]; then
    echo "==> $venv: new virtual environment"
    "$python" -m venv --clear "$venv" || {
        echo "Python's venv module did not work: on Debian and Ubuntu, install python3-venv" >&2
        exit 1
    }
fi
if [ ! -x .venv/bin/uv ]; then
    echo "==> $venv: installing uv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
fi

# Bytecode is compiled here, in parallel: the first start of Airflow would else take longer than all of this.
# A terminal sees uv's progress bars; a log sees the downloads and not the list of 130 packages.
sync() {
    local -a command=(.venv/bin/uv pip sync --python "$venv/bin/python" --require-hashes --compile-bytecode "$@")
    if [ -t 2 ]; then
        "${command[@]}"
    else
        "${command[@]}" 2>&1 | sed -E '/^ [-+~] /d'
    fi
}
if [ "$venv" = .venv ]; then
    echo "==> $venv: installing the bridge, its tests and tools"
    sync requirements/dev.txt
    .venv/bin/uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
else
    echo "==> $venv: installing Apache Airflow"
    sync requirements/airflow.txt
fi
