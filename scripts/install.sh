#!/usr/bin/env bash
# Make one virtual environment hold exactly what a lock file says.
#
#   install.sh tools      .venv holds requirements/dev.txt: what the bridge, its tests and its tools need
#   install.sh bridge     .venv holds this project too, editable
#   install.sh airflow    .venv-airflow holds requirements/airflow.txt
#   install.sh airflowN   .venv-airflowN holds requirements/airflowN.txt, for N = 2, 30 and 31: other releases
#   install.sh chart      .venv-chart holds requirements/chart.txt; .cache/kube holds helm and kubectl
#   install.sh mutants    .venv-mutants holds requirements/mutants.txt
#
# In this order: `tools` brings uv, and removes from .venv what its lock does not name, the project too.
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
tools | bridge) venv=.venv ;;
airflow) venv=.venv-airflow ;;
airflow2 | airflow30 | airflow31) venv=.venv-$1 ;;
chart | mutants) venv=.venv-$1 ;;
*)
    echo "usage: install.sh tools|bridge|airflow|airflow2|airflow30|airflow31|chart|mutants" >&2
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
        rm -rf "$venv"
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
case $1 in
tools)
    echo "==> $venv: installing what the bridge, its tests and its tools need"
    sync requirements/dev.txt
    ;;
bridge)
    echo "==> $venv: installing the bridge"
    .venv/bin/uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
    ;;
airflow)
    echo "==> $venv: installing Apache Airflow"
    sync requirements/airflow.txt
    ;;
airflow2 | airflow30 | airflow31)
    echo "==> $venv: installing another release of Apache Airflow"
    sync "requirements/$1.txt"
    ;;
mutants)
    echo "==> $venv: installing what makes careless edits"
    sync requirements/mutants.txt
    ;;
chart)
    echo "==> $venv: installing what checks the image and the chart"
    sync requirements/chart.txt
    echo "==> .cache/kube: unpacking helm and kubectl"
    rm -rf .cache/kube.new
    .venv/bin/uv pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes \
        --target .cache/kube.new/wheel -r requirements/kubectl.txt
    .venv/bin/python - .cache/kube.new <<'PYTHON'
import pathlib, sys, tarfile, zipfile

place = pathlib.Path(sys.argv[1])
(package,) = place.glob("wheel/aws_cdk/*/_jsii/*.jsii.tgz")
with tarfile.open(package) as outer, outer.extractfile("package/lib/layer.zip") as layer, zipfile.ZipFile(layer) as inner:
    for tool in ("helm", "kubectl"):
        (name,) = [name for name in inner.namelist() if name.endswith(f"/{tool}") or name == tool]
        (place / tool).write_bytes(inner.read(name))
        (place / tool).chmod(0o755)
PYTHON
    rm -rf .cache/kube.new/wheel .cache/kube
    mv .cache/kube.new .cache/kube
    ;;
esac
