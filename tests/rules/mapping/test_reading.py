"""Reading a mapping: which names routes get, and that no text at all makes anything but a mapping or ConfigError."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.rules.mapping import Mapping, read
from bridge.words.errors import ConfigError


def _read(text: str, airflows: tuple[str, ...] = ("default", "eu")) -> Mapping:
    return read(text, file="m.yaml", airflows=airflows, sources=["planasonix"])


def _names(*routes: str) -> list[str]:
    return [route.name for route in _read("routes:\n" + "".join(f"  - {{{route}}}\n" for route in routes)).routes]


def test_names_of_unnamed_routes() -> None:
    """An unnamed route is called after its DAGs, a further one with the same DAGs also after what it matches."""
    names = _names("dag: d1, pipeline: a", "dag: d1, pipeline: b", "dag: [d1, d2]", "name: own, dag: d1")

    assert (names[0], names[2], names[3]) == ("d1", "d1+d2", "own")
    assert names[1] == "d1-a2d38b7b"  # a part of DAG run ids, so no release changes it


def test_whose_name_hangs_on_others_is_known() -> None:
    """Of a route without a name it is said, since another route may take its name away."""
    routes = _read("routes: [{name: own, dag: d1}, {dag: d2}]").routes
    assert [route.is_named for route in routes] == [True, False]


@pytest.mark.parametrize(
    ("dags", "name"),
    [
        (("x" * 49, "y" * 50), f"{'x' * 49}+{'y' * 50}"),
        (("x" * 50, "y" * 50), f"{'x' * 50}+{'y' * 40}-"),
        (("x" * 250,), "x" * 91 + "-"),
    ],
)
def test_a_name_of_many_dags_has_100_letters_at_most(dags: tuple[str, ...], name: str) -> None:
    """As many as a route may be given; a longer one is cut, and ends in a digest."""
    (found,) = _names(f"dag: [{', '.join(dags)}], pipeline: p")
    assert (found[: len(name)], len(found)) == (name, 100)


_USUAL = {
    "enabled": True,
    "follow": True,
    "max_age": 86_400,
    "if_paused": "trigger",
    "release": "all",
    "hold_at_most": 14 * 86_400,
    "conf_schema": "any",
    "airflow": "default",
    "on": ["succeeded"],
}


def test_what_a_route_says_is_kept() -> None:
    """All that makes it differ from another, with what is usual, the defaults, and the `vars` that it reads."""
    text = (
        "owner: me\nvars: {tz: UTC, unread: 1}\ndefaults: {environment: eu, conf: {a: 1, b: 1}, max_age: 1h}\nroutes:\n"
        "  - {name: r, dag: d1, conf: {b: 2, c: '{{ vars.tz }}'}, enabled: false, follow: false}\n"
    )
    shortest, (full,) = _read("routes: [{dag: d1}]").routes[0], _read(text).routes
    assert shortest.written == _USUAL | {"dag": ["d1"]}
    own = {"dag": ["d1"], "enabled": False, "follow": False, "conf": {"a": 1, "b": 2, "c": "{{ vars.tz }}"}}
    taken_over = {"owner": "me", "environment": ["eu"], "max_age": 3600, "vars": {"tz": "UTC"}}
    assert full.written == _USUAL | own | taken_over


def test_a_route_keeps_its_name_when_others_come_after_it() -> None:
    """Else the DAG run ids of copies of one completion would differ after a reload."""
    before = _names("dag: d1, pipeline: a", "dag: d1, pipeline: b")
    after = _names("dag: d1, pipeline: a", "dag: d0", "dag: d1, pipeline: c", "dag: d1, pipeline: b")

    assert (after[0], after[3]) == (before[0], before[1])


def test_one_dag_on_two_airflows() -> None:
    """Two unnamed routes that differ only in their Airflow are no repetition."""
    names = _names(
        "dag: d1, pipeline: a", "dag: d1, pipeline: b, airflow: default", "dag: d1, pipeline: b, airflow: eu"
    )

    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("route", "airflows", "airflow"),
    [
        ("dag: d1", ("default", "eu"), "default"),
        ("dag: d1", ("eu",), "eu"),
        ("dag: d1, airflow: eu", ("default", "eu"), "eu"),
    ],
)
def test_which_airflow(route: str, airflows: tuple[str, ...], airflow: str) -> None:
    """The route's own, the one called `default`, or the only one."""
    assert _read(f"routes: [{{{route}}}]", airflows).routes[0].airflow == airflow


def test_no_airflow_to_choose() -> None:
    """With several and none called `default`, the route must say."""
    with pytest.raises(ConfigError, match="say which `airflow`; there is eu, us"):
        _read("routes: [{dag: d1}]", ("eu", "us"))


def test_the_digest_tells_files_apart() -> None:
    """Every face shows which mapping is in use."""
    assert _read("routes: []").digest != _read("routes: [] ").digest


_KEYS = "routes: defaults: dag: name: on: when: conf: max_age: pipeline: source: airflow:"
_SCALARS = "planasonix d1 succeeded ~ null true 1 1e999 0x1 .inf .nan 2025-03-27 event.id"
_MARKS = "- [ ] { } , : ? | > & * ! % @ ` # --- ... << '{{ {{ }} ' \" \\ &a *a !!str"
_WORDS = st.sampled_from([*_KEYS.split(), *_SCALARS.split(), *_MARKS.split()])
_GLUE = st.sampled_from(["", " ", "\n", "\n  ", "\n    ", "\t", "\r\n", "\u2028", "\ufeff"])


@given(st.text() | st.lists(_WORDS | _GLUE, max_size=30).map("".join))
@example("routes:\n  - dag: d1\n    conf: {a: 1e999}")
@example("? ? ?")
@example("%YAML 9.9\n--- a")
@example("%TAG ! tag:x,2000:\n--- !a b")
@example("a: !<x> b")
@example('"\\x')
@example('a: "\\ud800"')
@example("\ufeffroutes: []")
@example("{{{{{{")
@example("- - - - -\n - -")
@example("routes: [{dag: d1, max_age: .nan}]")
def test_any_text_is_a_mapping_or_a_config_error(text: str) -> None:
    """Nothing else is raised, and every problem has a place."""
    try:
        _read(text)
    except ConfigError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.line >= 0 and "\n" not in problem.what for problem in problems)
