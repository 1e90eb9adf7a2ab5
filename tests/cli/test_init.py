"""init writes what `check`, `test`, the chart, Compose and systemd accept, whatever is answered."""

import itertools
import json
import os
import pty
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from bridge.cli import app, starting
from bridge.cli.next_steps import next_steps
from bridge.cli.starting import Answers, Place, SignIn
from bridge.rules.signature import PRESETS
from deploy.demo.airflow import REPOSITORY
from tests.support import forkserver
from tests.support.forkserver import COMMAND

STORES = ("sqlite", "postgresql://bridge@db.example.com/bridge?sslmode=require")
FLAGS = ("--pipeline", "pl_1", "--dag", "load_orders")
VALUES = json.loads((REPOSITORY / "deploy" / "chart" / "values.schema.json").read_text())
COMPOSE = json.loads((REPOSITORY / "tests" / "data" / "compose-spec" / "compose-spec.json").read_text())


def run(*words: str | Path) -> Any:
    """Run a command in this process, without a terminal."""
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def everything() -> list[Answers]:
    """Return every combination of what can be chosen."""
    return [
        Answers(place, starting.AIRFLOWS[place], sign_in, signature, store=store)
        for place, sign_in, signature, store in itertools.product(Place, SignIn, starting.SIGNATURES, STORES)
        if place is not Place.COMPOSE or store == "sqlite"
    ]


def test_every_preset_can_be_chosen_that_a_word_describes() -> None:
    """`custom` needs to be written by hand."""
    assert tuple(name for name in PRESETS if name != "custom") == starting.SIGNATURES


def test_check_and_test_accept_whatever_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`check --strict` and `test --all-routes` on every combination, as whoever has just written the files."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("BRIDGE_", "AIRFLOW_", "PLANASONIX_")):
            monkeypatch.delenv(name)
    seen: set[tuple[str, ...]] = set()
    for answers in everything():
        made = starting.files(answers)
        read = tuple(text for name, text in made.items() if name.startswith("config/"))
        if read in seen:
            continue
        seen.add(read)
        for name, text in made.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        checked = run("check", "--strict")
        assert checked.exit_code == 0, (answers, checked.output, checked.exception)
        assert "1 source(s), 1 Airflow(s), 1 route(s)" in checked.output
    tested = run("test", "config/tests", "--all-routes")
    assert tested.exit_code == 0, tested.output
    assert len(seen) == len(Place) * len(SignIn) * len(starting.SIGNATURES)


def test_every_secret_that_bridge_yaml_names_is_handed_over() -> None:
    """What the file names is in the Secret, in compose.yaml, in the unit, or among the variables of the next step."""
    for answers in everything():
        text = starting.bridge_yaml(answers)
        references = [line for line in text.splitlines() if "current, " in line or line.startswith("    auth:")]
        named = {Path(item).name for item in re.findall(r"(?:file|env): ([^},]+)", " ".join(references))}
        if answers.place is Place.HERE:
            assert named <= {starting.variable(name) for name in answers.secrets}
        else:
            assert named <= set(answers.secrets)
        rest = "\n".join(text for name, text in starting.files(answers).items() if not name.startswith("config/"))
        handed = rest + next_steps(answers)[0]
        assert [name for name in answers.secrets if name not in handed and starting.variable(name) not in handed] == []


def test_the_chart_and_compose_accept_what_is_written_for_them() -> None:
    """values.schema.json of the chart, and the schema of the Compose Specification."""
    for answers in everything():
        made = starting.files(answers)
        if answers.place is Place.KUBERNETES:
            jsonschema.Draft202012Validator(VALUES).validate(YAML(typ="safe").load(made["values.yaml"]))
        if answers.place is Place.COMPOSE:
            compose = YAML(typ="safe").load(made["compose.yaml"])
            jsonschema.Draft201909Validator(COMPOSE).validate(compose)
            assert list(compose["secrets"]) == list(answers.secrets)
        assert "@" not in re.sub(r"bridge@[\w.]+|@system-service|~@\w+ @\w+", "", "".join(made.values()))


def test_the_files_of_deploy_are_what_is_written() -> None:
    """deploy/compose/compose.yaml and the unit of deploy/systemd are what the defaults make: `make plain`."""
    compose = Answers(Place.COMPOSE, "http://airflow.example.com")
    assert (REPOSITORY / "deploy/compose/compose.yaml").read_text() == starting.compose_yaml(compose)
    systemd = Answers(Place.SYSTEMD, "http://airflow.example.com")
    assert (REPOSITORY / "deploy/systemd/planasonix-bridge.service").read_text() == starting.unit(systemd)


@pytest.mark.parametrize("text", ["null", "1e3", "0x10", "010", "yes", "1:30", "pl:", "pl.a-b_C", "2025-01-01"])
def test_any_id_of_a_pipeline_is_read_back(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever YAML would take for something else is quoted, in the route and in its test."""
    monkeypatch.chdir(tmp_path)
    assert run("init", "--here", "--pipeline", text, "--dag", "load_orders").exit_code == 0
    assert YAML(typ="safe").load(tmp_path / "config/mapping.yaml")["routes"][0]["pipeline"] == text
    tested = run("test", "config/tests", "--all-routes")
    assert tested.exit_code == 0, tested.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--here", "--pipeline", "pl_1"], "--dag"),
        (["--here", "--dag", "x"], "--pipeline"),
        ([*FLAGS], "--kubernetes, --compose, --systemd, --here"),
        (["--here", "--compose", *FLAGS], "choose one of"),
        (["--here", "--pipeline", "pl_*", "--dag", "x"], "patterns"),
        (["--here", "--pipeline", "-", "--dag", "x"], "not an id"),
        (["--here", "--pipeline", "pl_1", "--dag", "../x"], "config/mapping.yaml:"),
        (["--here", *FLAGS, "--airflow-url", "airflow:8080"], "config/bridge.yaml:"),
        (["--here", *FLAGS, "--signature", "hmac"], "is one of planasonix"),
        (["--systemd", *FLAGS, "--store", "postgresql://bridge:secret@db/bridge"], "without a password"),
        (["--systemd", *FLAGS, "--store", "mysql://db"], "--store"),
        (["--systemd", *FLAGS, "--store", "postgresql://bridge@db/bridge\nExecStart=/bin/sh"], "--store"),
        (["--compose", *FLAGS, "--store", "sqlite"], "--store"),
    ],
)
def test_a_wrong_answer_writes_nothing(words: list[str], said: str, tmp_path: Path) -> None:
    """Exit 2 with the option or the place, and no file."""
    done = forkserver.run("init", *words, env=os.environ, cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert said in re.sub(r"[\s│]+", " ", done.stderr), done.stderr


@pytest.mark.parametrize("name", ["config/mapping.yaml", "compose.yaml", "secrets/admin-token"])
def test_nothing_is_overwritten(name: str, tmp_path: Path) -> None:
    """If one of the files is there, even as a link to nowhere, no file is written and no folder made."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to("nowhere")
    before = sorted(tmp_path.rglob("*"))
    done = run("init", tmp_path, "--compose", *FLAGS)
    assert (done.exit_code, sorted(tmp_path.rglob("*"))) == (2, before)
    assert name in done.output


def test_the_next_steps_are_three_and_secrets_are_kept(tmp_path: Path) -> None:
    """A container may read the files, nobody else the folder of secrets; two runs make up different ones."""
    before = os.umask(0o077)  # as the command line sets it
    try:
        done = [run("init", tmp_path / item, "--compose", *FLAGS) for item in "ab"]
    finally:
        os.umask(before)
    assert [each.exit_code for each in done] == [0, 0], done[0].output
    assert re.findall(r"(?m)^(\d)\. ", done[0].output) == ["1", "2", "3"]
    modes = {
        name: stat.S_IMODE((tmp_path / "a" / name).stat().st_mode) for name in ("config", "secrets", "compose.yaml")
    }
    assert modes == {"config": 0o755, "secrets": 0o700, "compose.yaml": 0o644}
    assert stat.S_IMODE((tmp_path / "a/config/bridge.yaml").stat().st_mode) == 0o644
    tokens = [(tmp_path / item / "secrets/admin-token").read_text() for item in "ab"]
    assert len({*tokens}) == 2
    assert not any(token in each.output for token in tokens for each in done)


@pytest.mark.parametrize(
    ("airflow_url", "said"),
    [
        ("http://localhost:8080", ["BRIDGE_PORT=8090"]),
        ("http://127.0.0.1:8080/", ["BRIDGE_PORT=8090"]),
        ("http://[::1]:8081/airflow", ["BRIDGE_ADMIN_PORT=8091"]),
        ("http://localhost:8793", []),
        ("http://localhost", []),
        ("http://airflow.example.com:8080", []),
    ],
)
@pytest.mark.parametrize("place", [Place.HERE, Place.SYSTEMD])
def test_an_airflow_on_this_machine_keeps_its_port(place: Place, airflow_url: str, said: list[str]) -> None:
    """Where it listens on the bridge's own port, the steps give the bridge another one, before `serve` is started."""
    steps = "\n".join(next_steps(Answers(place, airflow_url)))
    start = steps.index("planasonix-bridge serve" if place is Place.HERE else "systemctl enable")
    assert re.findall(r"BRIDGE_\w*PORT=\d+", steps[:start]) == said
    assert "PORT=" not in steps[start:]


def test_a_person_is_asked_seven_questions_at_most(tmp_path: Path) -> None:
    """On a terminal: what is answered here is all that it asks for. A word that is not known is asked for again."""
    controller, terminal = pty.openpty()
    answers = ["systemd", "", "toke", "token", "", "pl_1", "load_orders", ""]  # seven, and one of them twice
    os.write(controller, "".join(f"{item}\n" for item in answers).encode())
    done = subprocess.run(
        [COMMAND, "init", tmp_path / "new"], stdin=terminal, capture_output=True, text=True, check=False, timeout=120
    )
    os.close(terminal)
    os.close(controller)
    assert done.returncode == 0, done.stderr
    assert "that is none of" in done.stderr
    made = tmp_path / "new"
    assert "airflow-token" in (made / "config/bridge.yaml").read_text()
    assert "LoadCredential=airflow-token:" in (made / "planasonix-bridge.service").read_text()
