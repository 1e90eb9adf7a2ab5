"""The examples and the commands of docs/kubernetes.md are accepted: by the chart, and by the bridge itself."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli import app
from bridge.cli.next_steps import next_steps
from bridge.cli.starting import Answers, Place
from deploy.demo.airflow import REPOSITORY
from tests.chart.pod import Pod
from tests.chart.support import CHART, HELM, POSTGRESQL, Manifest, notes, of_kind, read_all, render
from tests.docs.pages import blocks

EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
PAGE = (REPOSITORY / "docs" / "kubernetes.md").read_text()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_passes_the_check_before_it_lands(example: Path, tmp_path: Path) -> None:
    """The chart renders it, and the hook's own command is content with its bridge.yaml and the files it names."""
    (values,) = read_all(example.read_text())
    objects = render(values)
    (pod,) = of_kind(objects, "Pod", name="-check")
    pod["spec"]["containers"][0]["args"] = ["check", "--secrets"]  # no store is here
    done = Pod(tmp_path, pod, objects).run("check")
    assert (done.returncode, done.stdout[:4]) == (0, "ok: "), done.stderr


def test_there_is_an_example_for_every_airflow_that_the_page_promises() -> None:
    """Same cluster, Airflow 3 with either auth manager, far away; and OpenShift, and a mapping in git."""
    assert [path.stem for path in EXAMPLES] == [
        "airflow3-fab",
        "airflow3-simple",
        "far-airflow",
        "git-sync",
        "openshift",
        "same-cluster",
    ]


def test_helm_commands_of_the_page_render(tmp_path: Path) -> None:
    """Their options are values of the chart, their files those that `init` has written. None says `helm install`.

    A first install that failed leaves a release of that name behind, which `helm install` does not touch.
    """
    assert "helm install" not in PAGE
    commands = upgrades()
    assert commands
    folder = initiated(tmp_path)
    (folder / "config" / "sales.yaml").write_text((folder / "config" / "mapping.yaml").read_text())  # a team's own
    for command in commands:
        assert upgraded(command, tmp_path)


def upgrades() -> list[list[str]]:
    """Return the words of each `helm upgrade` of the page."""
    return [
        shlex.split(line)
        for block in blocks(PAGE)
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("helm upgrade ")
    ]


def upgraded(command: list[str], folder: Path) -> list[Manifest]:
    """Return the objects that such a command makes, run in this folder."""
    of_upgrade = ("--reset-then-reuse-values", "--install", "--force-conflicts")
    words = [word.replace("deploy/chart", str(CHART)) for word in command[2:] if word not in of_upgrade]
    release, _, *options = words
    done = subprocess.run(
        [HELM, "template", release, CHART, *options], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return read_all(done.stdout)


def ways_out(objects: list[Manifest]) -> list[tuple[str, int]]:
    """Return where the pods may go by address: network and port."""
    (policy,) = of_kind(objects, "NetworkPolicy", name="-bridge")
    return [
        (peer["ipBlock"]["cidr"], port["port"])
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
        for port in rule["ports"]
    ]


def test_the_command_of_the_page_opens_the_way_to_its_database(tmp_path: Path) -> None:
    """Its host is outside the cluster: the policy lets the pods go to an address, on PostgreSQL's port."""
    (command,) = [words for words in upgrades() if any("store.postgresql.url=" in word for word in words)]
    assert "@db.example.com/" in " ".join(command)
    assert ways_out(upgraded(command, tmp_path)) == [("203.0.113.9/32", 5432)]


@pytest.mark.parametrize(
    ("words", "ways"),
    [
        (["--airflow-url", "https://airflow.example.com/a"], [("0.0.0.0/0", 443)]),
        (["--airflow-url", "http://203.0.113.7"], [("203.0.113.7/32", 80)]),
        (["--store", "postgresql://bridge@db.example.com:6432/bridge"], [("0.0.0.0/0", 6432)]),
        (["--store", "postgresql://bridge@a.example.com,10.1.2.3:1/b"], [("0.0.0.0/0", 1), ("0.0.0.0/0", 5432)]),
        (["--store", "postgresql://bridge@db.sales.svc.cluster.local/bridge"], []),
        (["--airflow-url", "http://web:8080", "--store", "postgresql://bridge@db.postgresql.svc/bridge"], []),
        ([], []),
    ],
)
def test_init_opens_the_ways_to_what_was_answered(
    tmp_path: Path, words: list[str], ways: list[tuple[str, int]]
) -> None:
    """Outside the cluster by address; in another namespace by its name, so that the chart does not refuse it."""
    folder = initiated(tmp_path, *words)
    files = ("--set-file", "config.bridge=config/bridge.yaml", "--set-file", "mapping.routes=config/mapping.yaml")
    command = ["helm", "upgrade", "bridge", "deploy/chart", "-n", "planasonix-bridge", "-f", "values.yaml", *files]
    objects = upgraded(command, folder)
    assert {way for way in ways_out(objects) if way[0] != "10.1.2.3/32"} == set(ways)


def test_the_ways_of_the_page_are_values_of_the_chart() -> None:
    """Its example of `networkPolicy` opens what it says, and the chart takes it."""
    (text,) = [each for each in blocks(PAGE, "yaml") if each.startswith("networkPolicy:")]
    ways = ways_out(render(read_all(text)[0] | {"store": POSTGRESQL}))
    assert ways == [("203.0.113.7/32", 443), ("203.0.113.9/32", 5432), ("0.0.0.0/0", 443)]


def test_a_broken_pod_is_taken_away_after_a_rollback() -> None:
    """Kubernetes never replaces one of a StatefulSet that is not ready: the page and the notes have the command."""
    _before, _rollback, after = PAGE.partition("\nhelm rollback bridge -n planasonix-bridge\n")
    assert after.startswith("kubectl -n planasonix-bridge delete pod bridge-planasonix-bridge-0 ")
    assert (
        "kubectl -n data-platform delete pod bridge-planasonix-bridge-0\n" in notes("{}").partition("helm rollback")[2]
    )
    assert "helm rollback" not in notes(json.dumps({"store": POSTGRESQL}))


def initiated(folder: Path, *words: str) -> Path:
    """Return the folder that `init` has made in another one, as the page says."""
    made = folder / "my-bridge"
    flags = ("--kubernetes", made, "--pipeline", "pl_1", "--dag", "load_orders", *words)
    done = CliRunner().invoke(app, ["init", *map(str, flags)])
    assert done.exit_code == 0, done.output
    return made


@pytest.mark.parametrize("is_printed", [False, True])
def test_the_first_install_is_what_was_answered(tmp_path: Path, is_printed: bool) -> None:
    """A PostgreSQL and a public key: a Deployment, and no test event. By the page, and by what `init` prints."""
    answers = ("--store", "postgresql://bridge@db.example.com/bridge", "--signature", "ed25519")
    folder = initiated(tmp_path, *answers)
    steps = next_steps(Answers(Place.KUBERNETES, "http://airflow.example.com"))
    text = "\n".join(steps) if is_printed else PAGE.replace("\\\n", " ")
    (command,) = re.findall(
        r"(?m)^ *helm (upgrade --install bridge \S*deploy/chart .*values\.yaml +--set-file.*)$", text
    )
    _upgrade, _install, release, _chart, *options = shlex.split(command)
    done = subprocess.run(
        [HELM, "template", release, CHART, *options],
        cwd=folder if is_printed else tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    objects = read_all(done.stdout)
    assert [item["kind"] for item in objects if item["kind"] in {"Deployment", "StatefulSet"}] == ["Deployment"]
    assert of_kind(objects, "Pod", name="-test") == []


def test_names_on_the_page_are_those_of_the_chart() -> None:
    """What the page calls `bridge-planasonix-bridge...` is there, in a release called `bridge`."""
    objects = render({}, release="bridge")
    (workload,) = of_kind(objects, "StatefulSet")
    claim = workload["spec"]["volumeClaimTemplates"][0]["metadata"]["name"]
    pod = f"{workload['metadata']['name']}-0"
    (check,) = of_kind(objects, "Pod", name="-check")
    assert {f"exec {pod} ", f"pvc {claim}-{pod} ", f"logs {check['metadata']['name']} "} <= set(
        re.findall(r"exec \S+ |pvc \S+ |logs \S+ ", PAGE)
    )


def test_the_rule_for_the_adapter_names_what_the_autoscaler_asks_for() -> None:
    """Metric and label of the external metric are those of the HorizontalPodAutoscaler."""
    (text,) = [each for each in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "externalRules" in each]
    (rule,) = read_all(text)[0]["externalRules"]
    values = {
        "store": POSTGRESQL,
        "autoscaling": {"enabled": True, "waitingSeconds": 5},
    }
    (scaler,) = of_kind(render(values), "HorizontalPodAutoscaler")
    metric = scaler["spec"]["metrics"][1]["external"]["metric"]
    assert metric["name"] == rule["name"]["as"]
    assert set(metric["selector"]["matchLabels"]) == set(rule["resources"]["overrides"])
    board = json.loads((CHART / "files" / "dashboard.json").read_text())
    for query in (rule["seriesQuery"], rule["metricsQuery"]):
        assert 'state!="held"' in query  # which waits for a DAG or a person: more pods have nothing to do
    assert metric["name"] in json.dumps(board)  # whose metrics are held against a running bridge elsewhere
