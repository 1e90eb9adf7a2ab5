#!/usr/bin/env bash
# Start an image as Kubernetes would (read-only root, no capabilities), send it a signed webhook, run every verb, stop it.
# Twice: as its own user, and as OpenShift does, as a user that nobody knows (group 0). Neither has a HOME. Then look at what is
# in it: nothing setuid, no pip, perl or manuals, less than 200 MB, a list of its packages with their licences.
#
#   deploy/image/try.sh [IMAGE]      needs podman or docker, and curl; prints what it saw, exit 0 only if all of it is right
#
# IMAGE defaults to localhost/planasonix-bridge:<version>. RUN_OPTIONS are more options of `run`, ENGINE_OPTIONS of the
# engine itself. Inside a container, where neither overlays nor cgroups can be made, podman needs STORAGE_DRIVER=vfs,
# ENGINE_OPTIONS="--cgroup-manager cgroupfs --runtime runc" and
# RUN_OPTIONS="--no-healthcheck --ulimit nofile=1024:1024 --ulimit nproc=1000:1000".
set -euo pipefail
cd "$(dirname "$0")/../.."
image=${1:-localhost/planasonix-bridge:$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' bridge/__init__.py)}
engine=$(command -v podman || command -v docker) || {
    echo "neither podman nor docker is on PATH: install one of them" >&2
    exit 1
}
read -ra engine <<<"$engine ${ENGINE_OPTIONS:-}"
read -ra options <<<"${RUN_OPTIONS:-}"
# Podman would put a writable /tmp, /run and /var/tmp into a read-only container; Kubernetes does not.
case ${engine[0]} in *podman) options+=(--read-only-tmpfs=false) ;; esac
port=${PORT:-18080}
place=$(mktemp -d)
name=planasonix-bridge-try-$$
trap '"${engine[@]}" rm --force "$name" >/dev/null 2>&1; rm -rf "$place"' EXIT

mkdir "$place"/{config,mapping,secrets}
echo "whsec_$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')" >"$place/secrets/webhook-secret"
printf 'routes: [{pipeline: pl_1, dag: load_orders}]\n' >"$place/mapping/mapping.yaml"
printf '{"id": "evt_1", "type": "job.succeeded", "data": {"id": "job_1", "status": "succeeded", "pipeline_id": "pl_1"}}\n' \
    >"$place/config/event.json"
printf '%s\n' 'tests: [{name: a load starts its DAG, sample: job.succeeded, with: {pipeline_id: pl_1}, starts: load_orders}]' >"$place/config/tests.yaml"
cat >"$place/config/bridge.yaml" <<'YAML'
sources:
  planasonix: {signature: {preset: planasonix, secrets: [{id: current, file: /etc/bridge/secrets/webhook-secret}]}}
airflow:
  default: {url: "http://127.0.0.1:9"}
YAML
chmod -R a+rX "$place"

now() { date +%s%3N; }
inside() { "${engine[@]}" exec "$name" env -u HOME "$@"; }
ready() { curl --silent --fail --noproxy '*' "http://127.0.0.1:$port/readyz" >/dev/null; }
wrong() { echo "$*" >&2 && exit 1; }
verb() { # EXIT-CODES WORDS...: run one, and say what went wrong
    local wanted=$1 got=0
    shift
    inside planasonix-bridge "$@" >"$place/said" 2>&1 || got=$?
    [[ $got =~ ^[$wanted]$ ]] && ! grep -Eq 'Traceback|run with --debug' "$place/said" || {
        cat "$place/said" >&2
        wrong "planasonix-bridge $* ended with $got, not $wanted"
    }
}

start() { # OPTIONS of `run`
    began=$(now)
    "${engine[@]}" run --detach --name "$name" --read-only --cap-drop all --security-opt no-new-privileges --network host \
        --env "BRIDGE_PORT=$port" --env "BRIDGE_ADMIN_PORT=$((port + 1))" \
        --volume "$place/config:/etc/bridge/config:ro" --volume "$place/mapping:/etc/bridge/mapping:ro" \
        --volume "$place/secrets:/etc/bridge/secrets:ro" "${options[@]}" "$@" "$image" >/dev/null
    until ready; do
        [ $(($(now) - began)) -lt 120000 ] || { "${engine[@]}" logs "$name" >&2 && wrong "it was not ready after 120 s"; }
        sleep 0.05
    done
    echo "ready after    $(($(now) - began)) ms, with the container's start"
    echo "user           $(inside python3 -c 'import os; print(os.getuid(), os.getgid())')"
}

try_places() { # what it can write, and what it could be abused with
    inside python3 -c '
import os, sys
tried = {path: None for path in ("/", "/etc", "/opt/bridge", "/tmp", "/run", "/var/tmp", "/data")}
for path in tried:
    try:
        open(os.path.join(path, "x"), "w").close()
        tried[path] = True
    except OSError:
        tried[path] = False
tools = [tool for tool in ("gcc", "cc", "make", "pip", "perl", "apt-get", "openssl", "curl", "wget", "su", "mount") if any(
    os.access(os.path.join(place, tool), os.X_OK) for place in os.environ["PATH"].split(":"))]
print("writable      ", *[path for path, could in tried.items() if could])
print("tools         ", *tools or ["none of a compiler, pip, perl, apt, curl, wget, su"])
sys.exit(tools or tried != {path: path == "/data" for path in tried})
'
}

try_webhook() {
    echo "signed webhook $(inside planasonix-bridge send /etc/bridge/config/event.json)"
    echo "sent again     $(inside planasonix-bridge send /etc/bridge/config/event.json)"
    curl --silent --fail --location --noproxy '*' "http://127.0.0.1:$((port + 1))/" >"$place/page" || true
    grep -q '<h1' "$place/page" || wrong "the pages are not in the image: $(head -c 300 "$place/page")"
}

try_verbs() { # every verb, as a user who has no name and no home. A test compares them with the code.
    local delivery trigger
    delivery=$(inside planasonix-bridge deliveries --json | sed -n 's/.*"id": "\(dlv_[0-9a-f]*\)".*/\1/p' | head -n 1)
    until trigger=$(inside planasonix-bridge triggers --json | grep -o 'trg_[0-9a-f]*' | head -n 1) && [ -n "$trigger" ]; do
        [ $(($(now) - began)) -lt 240000 ] || wrong "no trigger was made"
        sleep 0.2
    done
    verb 0 --version
    verb 0 init /data/first --here --pipeline pl_1 --dag load_orders
    verb 0 check
    verb 0 schema
    verb 0 sample --pipeline pl_1
    verb 0 infer /etc/bridge/config/event.json
    verb 0 test /etc/bridge/config/tests.yaml
    verb 0 diff /etc/bridge/mapping/mapping.yaml /etc/bridge/mapping/mapping.yaml
    verb 0 keys show
    verb 0 urls --base https://hooks.example.com
    verb 2 subscriptions # no `api` is configured
    verb 2 subscribe --url https://hooks.example.com
    verb 2 unsubscribe wh_1 --yes
    verb 2 rotate
    verb 2 reconcile --dry-run
    verb 1 doctor # no Airflow answers here
    verb 0 record --out /data/recorded
    verb 0 explain /etc/bridge/config/event.json
    verb 0 deliveries "$delivery"
    verb 0 triggers "$trigger"
    verb 0 why "$delivery"
    verb 1 notify # nobody is notified
    verb 01 status # 1: no Airflow answers here
    verb 01 causes # 1: it is held by now
    verb 0 replay "$delivery" --reason "a try of the image"
    verb 0 export deliveries
    verb 0 orders
    verb 0 tail --since 1h --for 1s
    verb 0 pause source planasonix --reason "a try of the image"
    verb 0 resume source planasonix
    verb 01 refusals # 1: there are none
    verb 01 audit
    verb 1 verify # no Airflow answers here
    verb 13 wait --delivery "$delivery" --timeout 1s # 3: no Airflow answers here, 1: it was cancelled
    verb 01 cancel "$trigger" --reason "a try of the image" # 1: it is being fired just now
    verb 01 erase evt_1 --source planasonix --reason "a try of the image" --cancel --yes # 1: the log is being read
    verb 0 completion bash
    verb 0 migrate
    verb 2 move --to postgresql://nobody@127.0.0.1:1/none # it is served
    verb 2 serve # the store is served already
    echo "verbs          each answered as user $(inside python3 -c 'import os; print(os.getuid())')"
}

stop() {
    local code
    began=$(now)
    "${engine[@]}" stop --time 60 "$name" >/dev/null
    code=$("${engine[@]}" inspect --format '{{.State.ExitCode}}' "$name")
    echo "stopped after  $(($(now) - began)) ms, exit code $code"
    [ "$code" = 0 ] || { "${engine[@]}" logs "$name" | tail -n 20 >&2 && wrong "it did not stop well"; }
    "${engine[@]}" rm --force "$name" >/dev/null
}

try_image() { # what is in it
    local bytes found check
    bytes=$("${engine[@]}" image inspect --format '{{.Size}}' "$image")
    echo "image          $((bytes / 1000000)) MB"
    [ "$bytes" -lt 200000000 ] || wrong "the image has 200 MB or more"
    found=$(inside find / -xdev \( -type f -perm /6000 -o -name 'pip-*' -o -name ensurepip -o -name 'perl5*' -o -path /usr/share/man \
        -o -path /usr/share/locale -o -path /usr/share/python-wheels -o -path '/usr/share/doc/*' -type f ! -name copyright \) 2>/dev/null || true)
    [ -z "$found" ] || wrong "these do not belong into the image: $found"
    inside python3 -c '
import json
found = json.load(open("/usr/share/planasonix-bridge/sbom.json"))["components"]
kinds = {one["purl"].partition("/")[0] for one in found if one["licenses"]}
assert kinds == {"pkg:deb", "pkg:pypi"} and all(one["licenses"] for one in found), kinds
print("packages      ", len(found), "in its own list, each with a licence")
'
    check=$("${engine[@]}" image inspect --format '{{json .HealthCheck}}{{json .Config.Healthcheck}}' "$image" 2>/dev/null ||
        "${engine[@]}" image inspect --format '{{json .Config.Healthcheck}}' "$image")
    case $check in *livez*) ;; *) wrong "the image has no HEALTHCHECK" ;; esac
    "${engine[@]}" image inspect --format '{{json .Config.Labels}}' "$image" | grep -q '"org.opencontainers.image.revision"' ||
        wrong "the image has no labels"
}

start
try_image
try_places
try_webhook
try_verbs
stop
mkdir "$place/data" && chmod 0777 "$place/data"
start --user 1000680000:0 --volume "$place/data:/data"
try_places
try_webhook
try_verbs
stop
