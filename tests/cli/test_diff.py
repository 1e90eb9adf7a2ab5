"""diff: two mappings and some bodies, from files and from git, in a folder with nothing else."""

from pathlib import Path

import pytest

from tests.cli.conftest import MAPPING, Place, repository

pytestmark = pytest.mark.crash


@pytest.fixture
def changed(place: Place) -> Place:
    """A repository whose mapping was edited since the last commit, and a body."""
    body = place.run("sample", "--pipeline", "pl_8f2a9c1d4e").out
    (place.folder / "bodies").mkdir()
    (place.folder / "bodies" / "one.json").write_text(body)
    repository(place.folder)
    (place.folder / "mapping.yaml").write_text(MAPPING.replace("load_orders\n    conf", "load_all\n    conf", 1))
    return place


def test_what_differs_is_1(changed: Place) -> None:
    """Counts first, then each with its place; the old mapping out of git."""
    ended = changed.run("diff", "HEAD:mapping.yaml", "mapping.yaml", "bodies")
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.startswith("routes: 1 added, 1 removed, 0 changed, 0 renamed\n")
    for line in (
        "  added    load_all (mapping.yaml:2): starts load_all",
        "bodies: 1\n",
        "  1 would start other DAGs",
        "    now  load_orders (route load_orders)",
        "    then load_all (route load_all)",
    ):
        assert line in ended.out


def test_as_json(changed: Place) -> None:
    """The same for programs, all of it."""
    said = changed.run("diff", "HEAD:mapping.yaml", "mapping.yaml", "bodies/one.json", "--json").json
    assert (said["routes"]["added"], said["routes"]["removed"]) == (["load_all"], ["load_orders"])
    assert said["bodies"]["counts"]["other_dags"] == 1
    assert [item["kind"] for item in said["bodies"]["different"]] == ["other_dags"]


def test_no_difference_is_0(changed: Place) -> None:
    """With no secret and no store; the tests' bodies count too."""
    (changed.folder / "tests.yaml").write_text("tests:\n  - {name: x, sample: test, starts: []}\n")
    ended = changed.run("diff", "mapping.yaml", "mapping.yaml", "tests.yaml", PLANASONIX_WEBHOOK_SECRET=None)
    assert (ended.code, ended.err) == (0, "")
    assert "routes: 0 added, 0 removed, 0 changed, 0 renamed\n\nbodies: 1\n" in ended.out


def test_only_the_first_ten_are_shown(place: Place) -> None:
    """The rest is counted."""
    lines = "".join(f"  - {{pipeline: pl_{number}, dag: d{number}}}\n" for number in range(12))
    (place.folder / "new.yaml").write_text("routes:\n" + lines)
    out = place.run("diff", "mapping.yaml", "new.yaml").out
    assert out.startswith("routes: 12 added, 2 removed, 0 changed, 0 renamed")
    assert (out.count("  added "), "... and 2 more added" in out) == (10, True)


def test_a_mistake_is_2(changed: Place) -> None:
    """Of either mapping or a body, all at once, in git's own words; and nothing that git takes for an option."""
    (changed.folder / "bad.yaml").write_text("routes:\n  - {dagg: x}\n")
    ended = changed.run("diff", "NOREV:mapping.yaml", "bad.yaml", "nowhere.json")
    assert (ended.code, ended.out) == (2, "")
    for part in (
        "NOREV:mapping.yaml: cannot be read: ",
        'bad.yaml:2:6: unknown key "dagg"',
        "nowhere.json: cannot be read",
    ):
        assert part in ended.err
    for odd in ("--help:x", "-p:mapping.yaml", ":mapping.yaml"):
        ended = changed.run("diff", "mapping.yaml", "--", odd)
        assert (ended.code, ended.out) == (2, "")


def test_a_folder_of_a_revision_is_read_as_a_folder_is(place: Place) -> None:
    """Each file with its own owner; what was moved from file to file is no change."""
    teams = place.folder / "teams"
    teams.mkdir()
    moved = "{name: y, pipeline: q, dag: d}"
    (teams / "a.yaml").write_text(f"owner: a\nroutes: [{{name: x, pipeline: p, dag: d}}, {moved}]\n")
    (teams / "b.yaml").write_text("owner: b\nroutes: [{name: z, pipeline: r, dag: d}]\n")
    (teams / "notes.txt").write_text("no mapping")
    repository(place.folder)
    assert place.run("diff", "HEAD:teams", "teams").out == "routes: 0 added, 0 removed, 0 changed, 0 renamed\n"
    (teams / "a.yaml").write_text("owner: a\nroutes: [{name: x, pipeline: p, dag: d}]\n")
    (teams / "b.yaml").write_text(f"owner: a\nroutes: [{{name: z, pipeline: r, dag: e}}, {moved}]\n")
    ended = place.run("diff", "HEAD:teams", "teams")
    assert (ended.code, ended.out.splitlines()[0]) == (1, "routes: 0 added, 0 removed, 1 changed, 0 renamed")
    assert "changed  z (teams/b.yaml:2)" in ended.out
    ended = place.run("diff", "HEAD:bodies", "teams")
    assert (ended.code, ended.out) == (2, "")


def test_an_airflow_that_is_no_more_stops_no_comparison(changed: Place) -> None:
    """The old mapping may name what bridge.yaml had then."""
    old = changed.folder / "old.yaml"
    old.write_text(MAPPING.replace("dag: load_orders", "airflow: gone\n    dag: load_orders", 1))
    ended = changed.run("diff", str(Path("old.yaml")), "mapping.yaml")
    assert (ended.code, ended.err) == (1, "")
