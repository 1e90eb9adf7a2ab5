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
from tests.chart.support import CHART, HELM, of_kind, read_all, render

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
    commands = [
        shlex.split(line)
        for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("helm upgrade ")
    ]
    assert commands
    folder = initiated(tmp_path)
    (folder / "config" / "sales.yaml").write_text((folder / "config" / "mapping.yaml").read_text())  # a team's own
    for command in commands:
        of_upgrade = ("--reset-then-reuse-values", "--install", "--force-conflicts")
        words = [word.replace("deploy/chart", str(CHART)) for word in command[2:] if word not in of_upgrade]
        release, _, *options = words
        done = subprocess.run(
            [HELM, "template", release, CHART, *options], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


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
        "store": {"type": "postgresql", "postgresql": {"url": "postgresql://a@b/c"}},
        "autoscaling": {"enabled": True, "waitingSeconds": 5},
    }
    (scaler,) = of_kind(render(values), "HorizontalPodAutoscaler")
    metric = scaler["spec"]["metrics"][1]["external"]["metric"]
    assert metric["name"] == rule["name"]["as"]
    assert set(metric["selector"]["matchLabels"]) == set(rule["resources"]["overrides"])
    board = json.loads((CHART / "files" / "dashboard.json").read_text())
    assert metric["name"] in json.dumps(board)  # whose metrics are held against a running bridge elsewhere
