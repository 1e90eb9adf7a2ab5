"""Several files: which content of each is in use, and what they make together."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.rules.mapping import Part, choose, join, read_part
from bridge.words.errors import ConfigError


def part(file: str, *names: str, more: str = "") -> Part:
    """Return a file with one route for each name."""
    routes = "".join(f"  - {{name: {name}, pipeline: pl_1, dag: d_{name}}}\n" for name in names)
    text = f"{more}routes:\n{routes}" if names else f"{more}routes: []\n"
    return read_part(text, file=file, airflows=None, sources=None)


def names(parts: Mapping[str, Part]) -> dict[str, list[str]]:
    """Return the routes of each file by name."""
    return {file: [route.name for route in each.routes] for file, each in parts.items()}


def test_a_broken_file_keeps_its_last_good_content_and_stops_no_other() -> None:
    """The edit of the other team is in use."""
    good = {"a": part("a", "x"), "b": part("b", "y")}
    choice = choose({"a": None, "b": part("b", "y", "z")}, good=good, changed_at={"a": 1, "b": 1})
    assert names(choice.parts) == {"a": ["x"], "b": ["y", "z"]}
    assert choice.clashes == {}


def test_a_broken_file_that_was_never_good_adds_nothing() -> None:
    """The others are in use."""
    choice = choose({"a": None, "b": part("b", "y")}, good={}, changed_at={})
    assert names(choice.parts) == {"b": ["y"]}


@pytest.mark.parametrize(
    ("changed_at", "at_fault"),
    [({"a": 2, "b": 1}, "a"), ({"a": 1, "b": 2}, "b"), ({}, "b"), ({"a": 0}, "b"), ({"a": 1}, "a")],
)
def test_a_name_of_two_files_is_the_mistake_of_the_one_that_changed_last(
    changed_at: dict[str, int], at_fault: str
) -> None:
    """It goes back to its last good content; of two that changed together the later name is at fault."""
    good = {"a": part("a", "x"), "b": part("b", "y")}
    choice = choose({"a": part("a", "x", "new"), "b": part("b", "y", "new")}, good=good, changed_at=changed_at)
    other = "b" if at_fault == "a" else "a"
    assert names(choice.parts)[at_fault] == ["x" if at_fault == "a" else "y"]
    assert "new" in names(choice.parts)[other]
    (problem,) = choice.clashes[at_fault]
    assert (problem.file, problem.line, problem.what) == (
        at_fault,
        3,
        f'the name "new" is taken by the route of {other}:3',
    )


def test_the_file_that_stays_as_it_was_is_never_at_fault() -> None:
    """Whoever takes a name that is in use has to give it another one, whatever the files are called."""
    good = {"a": part("a", "x"), "b": part("b", "y")}
    choice = choose({"a": part("a", "x", "y"), "b": good["b"]}, good=good, changed_at={"a": 3, "b": 9})
    assert names(choice.parts) == {"a": ["x"], "b": ["y"]}
    assert list(choice.clashes) == ["a"]


@pytest.mark.parametrize(("first", "second"), [(["x"], ["y", "m"]), (["x", "m"], ["y"])])
def test_a_route_may_move_from_file_to_file(first: list[str], second: list[str]) -> None:
    """In one change, in either direction."""
    good = {
        "a": part("a", *(["x", "m"] if "m" in second else ["x"])),
        "b": part("b", *(["y"] if "m" in second else ["y", "m"])),
    }
    choice = choose({"a": part("a", *first), "b": part("b", *second)}, good=good, changed_at={"a": 1, "b": 1})
    assert names(choice.parts) == {"a": first, "b": second}
    assert choice.clashes == {}


def test_a_new_file_with_a_name_that_is_taken_adds_nothing() -> None:
    """It has no last good content to go back to."""
    good = {"b": part("b", "y")}
    choice = choose({"a": part("a", "y"), "b": good["b"]}, good=good, changed_at={"a": 1})
    assert names(choice.parts) == {"b": ["y"]}
    assert list(choice.clashes) == ["a"]


def test_a_file_that_is_gone_takes_its_routes_along() -> None:
    """Its names are free again."""
    choice = choose({"b": part("b", "x")}, good={"a": part("a", "x"), "b": part("b", "y")}, changed_at={"b": 1})
    assert names(choice.parts) == {"b": ["x"]}


_FILES = st.dictionaries(
    st.sampled_from("abcd"),
    st.none() | st.lists(st.sampled_from("xyz"), max_size=3, unique=True).map(tuple),
    min_size=1,
)


@settings(max_examples=40)
@given(st.lists(_FILES, min_size=1, max_size=4), st.data())
def test_whatever_files_hold_no_name_is_there_twice(
    changes: list[dict[str, tuple[str, ...] | None]], data: st.DataObject
) -> None:
    """After any number of edits of any files; and a file that is not used as it stands has said why."""
    good: Mapping[str, Part] = {}
    for files in changes:
        found = {file: None if given is None else part(file, *given) for file, given in files.items()}
        changed_at = {file: data.draw(st.integers(0, 3)) for file in files}
        choice = choose(found, good=good, changed_at=changed_at)
        every = [name for each in names(choice.parts).values() for name in each]
        assert len(every) == len(set(every))
        for file, each in found.items():
            assert each is None or choice.parts.get(file) == each or choice.clashes[file]
        good = choice.parts


def test_files_together_are_one_mapping() -> None:
    """Routes in the order of the files, each with its own file and owner."""
    mapping = join([part("a", "x", more="owner: team-a\n"), part("b", "y")])
    assert [(route.name, route.file, route.owner) for route in mapping.routes] == [
        ("x", "a", "team-a"),
        ("y", "b", None),
    ]
    assert mapping.owners == {"x": "team-a"}
    assert mapping.digest not in {part("a", "x", more="owner: team-a\n").digest, part("b", "y").digest}
    assert len(mapping.digest) == 12


def test_one_file_is_known_by_its_own_digest() -> None:
    """So a person finds the content that is in use, whether it was read alone or beside others."""
    assert join([part("a", "x")]).digest == part("a", "x").digest != part("a", "y").digest


def test_defaults_vars_and_owner_are_of_one_file() -> None:
    """Another file sees none of them; a route's own owner goes first."""
    top = "owner: team-a\nvars: {tz: UTC}\ndefaults: {environment: eu}\n"
    first = f"{top}routes:\n  - {{name: x, pipeline: p, dag: d, owner: me}}\n"
    second = "routes:\n  - {name: y, pipeline: p, dag: e, conf: {day: '{{ vars.tz }}'}}\n"
    item = read_part(first, file="a", airflows=None, sources=None)
    assert item.routes[0].owner == "me"
    with pytest.raises(ConfigError, match=r"b:2:.*vars"):
        read_part(second, file="b", airflows=None, sources=None)
    two = read_part("routes:\n  - {name: y, pipeline: p, dag: e}\n", file="b", airflows=None, sources=None)
    assert "environment" not in {test.key for test in join([item, two]).routes[1].tests}


def test_commands_blame_the_later_file() -> None:
    """Nobody knows there which file changed last. A route without a name is told what to do."""
    first = read_part("routes:\n  - {pipeline: p, dag: load}\n", file="a.yaml", airflows=None, sources=None)
    second = read_part("routes:\n  - {pipeline: q, dag: load}\n", file="b.yaml", airflows=None, sources=None)
    with pytest.raises(ConfigError) as error:
        join([first, second])
    assert str(error.value) == (
        'b.yaml:2:5: without a `name` it is called "load", as the route of a.yaml:2 is; give it a `name`'
    )


def test_a_name_is_seen_wherever_it_stands_in_its_route() -> None:
    """It is said to be taken, also where it is the first line of the route, as most people write it."""
    text = "routes:\n  - name: orders\n    pipeline: {0}\n    dag: {0}\n"
    first, second = (
        read_part(text.format(pipeline), file=f"{pipeline}.yaml", airflows=None, sources=None) for pipeline in "ab"
    )
    with pytest.raises(ConfigError) as error:
        join([first, second])
    assert str(error.value) == 'b.yaml:2:5: the name "orders" is taken by the route of a.yaml:2'


def test_two_files_that_start_one_dag_for_the_same_events_are_doubtful() -> None:
    """Said at the later one, with the place of the other."""
    mapping = join(
        [
            part("a", "x"),
            read_part("routes:\n  - {name: y, pipeline: pl_1, dag: d_x}\n", file="b", airflows=None, sources=None),
        ]
    )
    (warning,) = mapping.warnings
    assert str(warning).startswith("b:2:5: starts d_x for events of the route of a:2 too")
