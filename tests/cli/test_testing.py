"""test: the mapping held against a file of tests, in a folder with nothing else."""

import functools
import os
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from tests.cli.conftest import Ended, Place, repository
from tests.docs.pages import blocks, page
from tests.support.forkserver import COMMAND

pytestmark = pytest.mark.crash
GREEN = """\
tests:
  - name: orders are loaded
    sample: job.succeeded
    with: {pipeline_id: pl_8f2a9c1d4e, rows_loaded: 7}
    starts: {dag: load_orders, conf_exactly: {rows: 7}}
  - name: from a file
    body_file: bodies/one.json
    starts: load_orders
"""
RED = """\
tests:
  - name: orders are loaded by eight
    sample: job.succeeded
    with: {pipeline_id: pl_8f2a9c1d4e, rows_loaded: 7}
    starts:
      - dag: load_orders
        conf:
          rows: 8
"""


def in_nothing(*words: str, cwd: Path = REPOSITORY) -> Ended:
    """Run the command with no variable set but the PATH, and with no network where the machine can take it away."""
    command = Path(os.fspath(COMMAND)).resolve()
    done = subprocess.run(
        [*_without_network(), command, *words],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@functools.cache
def _without_network() -> tuple[str, ...]:
    prefix = ("unshare", "--map-root-user", "--net")
    try:
        done = subprocess.run([*prefix, "true"], check=False, capture_output=True)
    except FileNotFoundError:
        return ()
    return () if done.returncode else prefix


@pytest.fixture
def tests(place: Place) -> Path:
    """A folder with a file of tests that pass, and a body."""
    folder = place.folder / "tests"
    (folder / "bodies").mkdir(parents=True)
    (folder / "green.yaml").write_text(GREEN)
    body = place.run("sample", "--pipeline", "pl_8f2a9c1d4e").out
    (folder / "bodies" / "one.json").write_text(body)
    return folder


def test_the_shipped_mapping_does_what_its_tests_say() -> None:
    """config/ as it is shipped, in an empty environment; every route is reached."""
    ended = in_nothing("test", "config/tests/mapping.yaml", "--all-routes")
    assert (ended.code, ended.err) == (0, "")
    assert "6 test(s), 0 failed\n2 of 2 route(s) reached" in ended.out


def test_what_passes_and_what_is_not_reached(place: Place, tests: Path) -> None:
    """A folder stands for its files; a route without a test is named with its line, and is no failure by itself."""
    ended = place.run("test", "tests")
    assert ended.code == 0
    assert "ok      tests/green.yaml:2  orders are loaded" in ended.out
    assert re.search(r"1 of 2 route\(s\).*\n .*mapping.yaml:5: no test reaches the route bad", ended.out)
    assert place.run("test", "tests", "--all-routes").code == 1


def test_a_failure_is_1_with_its_place(place: Place, tests: Path) -> None:
    """For people, as JSON and as JUnit's XML."""
    (tests / "red.yaml").write_text(RED.replace("name: orders are loaded by eight", 'name: "eight \\e[31m"'))
    ended = place.run("test", "tests/green.yaml", "tests/red.yaml", "--junit", "out.xml")
    assert ended.code == 1
    assert "FAILED  tests/red.yaml:2  eight \\x1b[31m" in ended.out, "no terminal obeys a name"
    assert "tests/red.yaml:8:11: conf.rows: expected 8, got 7" in ended.out
    written = ET.fromstring((place.folder / "out.xml").read_text())  # noqa: S314 - our own
    assert [suite.get("failures") for suite in written] == ["0", "1"]
    said = place.run("test", "tests/red.yaml", "--json").json
    assert said["tests"][0]["differences"] == [{"line": 8, "column": 11, "what": "conf.rows: expected 8, got 7"}]
    assert [route["name"] for route in said["routes"]["unreached"]] == ["bad"]


def test_mistakes_of_all_files_are_2(place: Place, tests: Path) -> None:
    """The mapping's, and those of every file of tests; nothing is run."""
    (tests / "broken.yaml").write_text("tests:\n  - {name: x, sampel: test, starts: []}\n")
    (place.folder / "mapping.yaml").write_text("routes:\n  - {dagg: x}\n")
    ended = place.run("test", "tests", "tests/nowhere.yaml")
    assert (ended.code, ended.out) == (2, "")
    for part in ("mapping.yaml:2:", 'unknown key "sampel", did you mean "sample"?', "nowhere.yaml: cannot be read"):
        assert part in ended.err


def test_a_source_must_be_one_of_those_there_are(place: Place, tests: Path) -> None:
    """With the nearest word."""
    (tests / "odd.yaml").write_text("tests:\n  - {name: x, sample: test, source: planasonic, starts: []}\n")
    ended = place.run("test", "tests/odd.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert 'odd.yaml:2:29: no source "planasonic", did you mean "planasonix"?' in ended.err


def test_neither_secrets_nor_bridge_yaml_are_needed(place: Place, tests: Path) -> None:
    """Some secrets set and others not, or no bridge.yaml at all: the mapping is what is tested."""
    assert place.run("test", "tests", PLANASONIX_WEBHOOK_SECRET=None).code == 0
    ended = place.run("test", "tests", BRIDGE_CONFIG="nowhere.yaml", PLANASONIX_WEBHOOK_SECRET=None)
    assert ended.code == 0
    assert "there is no nowhere.yaml" in ended.err


def test_it_makes_no_store(place: Place, tests: Path) -> None:
    """Nothing is written but what is asked for."""
    before = sorted(place.folder.rglob("*"))
    place.run("test", "tests")
    assert sorted(place.folder.rglob("*")) == before


def test_explain_expects_exactly_these_dags(place: Place) -> None:
    """None too few, none too many, and no route that fails."""
    good, bad = (place.run("sample", "--pipeline", name).out.encode() for name in ("pl_8f2a9c1d4e", "pl_x"))
    failing = place.run("sample", "--pipeline", "pl_bad", "--set", "parameters={}").out.encode()
    for body, expect, code in (
        (good, "load_orders", 0),
        (good, "load_orders, other", 1),
        (good, "", 1),
        (bad, "", 0),
        (bad, "load_orders", 1),
        (failing, "", 1),
    ):
        ended = place.run("explain", "-", "--expect", expect, stdin=body)
        assert ended.code == code, (expect, ended)
    assert (
        "expected: load_orders; would be started: nothing"
        in place.run("explain", "-", "--expect", "load_orders", stdin=bad).err
    )


def test_the_examples_of_the_page_pass(tmp_path: Path) -> None:
    """docs/testing-a-mapping.md, against the shipped mapping."""
    (example,) = [block for block in blocks(page("testing-a-mapping.md"), "yaml") if "\ntests:" in block]
    (tmp_path / "sales.yaml").write_text(example)
    ended = in_nothing("test", str(tmp_path / "sales.yaml"))
    assert (ended.code, ended.err) == (0, ""), ended.out


@pytest.mark.parametrize("system", ["GitHub", "GitLab"])
def test_the_jobs_of_the_page_pass(system: str, tmp_path: Path) -> None:
    """Their own commands, on a copy of config/ in a repository, with nothing set but what the system sets."""
    text = page("testing-a-mapping.md").partition(f"{system}:\n")[2].partition("```yaml")[2].partition("\n```\n")[0]
    commands = re.findall(r"- (?:run: )?(planasonix-bridge .+)", text)
    assert [command.split()[1] for command in commands] == ["check", "test", "diff"]
    subprocess.run(["cp", "-r", REPOSITORY / "config", tmp_path], check=True)
    repository(tmp_path)
    subprocess.run(["git", "branch", "origin/main"], cwd=tmp_path, check=True)
    subprocess.run(["git", "fetch", "-q", ".", "HEAD"], cwd=tmp_path, check=True)
    path = f"{COMMAND.resolve().parent}:/usr/bin:/bin"
    for command in commands:
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env={"PATH": path, "GITHUB_BASE_REF": "main"}, check=False
        )
        assert done.returncode == 0, command
    assert (tmp_path / "mapping-tests.xml").exists()
    assert "routes: 0 added, 0 removed, 0 changed, 0 renamed" in (tmp_path / "diff.txt").read_text()
