"""YAML as the configuration takes it: strict, bounded, and every value with its place."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from bridge.rules.yamltree import MAX_DEPTH, Path, Tree, parse, validate
from bridge.words.errors import ConfigError, Problem


def _problems(text: str, **limits: int) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(text, file="f.yaml", **limits)
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing but a comment\n", None),
        ("on: no", {"on": "no"}),  # YAML 1.1 has {true: false} here
        ("{y: yes, off: off, t: true}", {"y": "yes", "off": "off", "t": True}),
        ("[true, True, TRUE, tRue]", [True, True, True, "tRue"]),
        ("[false, False, FALSE]", [False, False, False]),
        ("[~, null, Null, NULL, nil]", [None, None, None, None, "nil"]),
        ("a:", {"a": None}),
        ("[0, -1, +2, 007, 999999999999999999]", [0, -1, 2, 7, 999_999_999_999_999_999]),
        ("[1.5, -.5, 1., 1e3, 1E-3]", [1.5, -0.5, 1.0, 1000.0, 0.001]),
        ("[0x1F, 0o17, 1_000, 12:30:00, .inf, .nan]", ["0x1F", "0o17", "1_000", "12:30:00", ".inf", ".nan"]),
        ("[2025-03-27, 2025-03-27T02:00:00Z]", ["2025-03-27", "2025-03-27T02:00:00Z"]),
        ("['1', \"true\", 'null']", ["1", "true", "null"]),
        ("1: one", {"1": "one"}),
        ("true: yes", {"true": "yes"}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("a: >-\n  one\n  line\n", {"a": "one line"}),
        ("--- \na: 1\n...\n", {"a": 1}),
        ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
        ('"\\u00e9\\t"', "é\t"),
        ("é: 日本", {"é": "日本"}),
    ],
)
def test_values(text: str, value: Any) -> None:
    """A plain word means what YAML 1.2's core schema says, and a date stays the text that was written."""
    assert parse(text, file="f.yaml").value == value


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb: 2\na: 3\n", ['f.yaml:3:1: the key "a" stands here twice, first in line 1']),
        (
            "{a: 1, a: 2}\n---\n",
            [
                'f.yaml:1:8: the key "a" stands here twice, first in line 1',
                "f.yaml:2:1: a second document; one file holds one",
            ],
        ),
        ("1: a\n'1': b\n", ['f.yaml:2:1: the key "1" stands here twice, first in line 1']),
        (
            "x: {k: 1, k: 2}\ny: {j: 1, j: 2}\n",
            [
                'f.yaml:1:11: the key "k" stands here twice, first in line 1',
                'f.yaml:2:11: the key "j" stands here twice, first in line 2',
            ],
        ),
        (
            "a: &here 1\nb: *here\n",
            [
                "f.yaml:1:4: an anchor (&name) is not allowed here",
                'f.yaml:2:4: an alias (*name) is not allowed here; repeat the value, or quote a glob: "*here"',
            ],
        ),
        ("a: !!str 1\n", ["f.yaml:1:4: a tag (!name) is not allowed here"]),
        ("a: !!python/object/apply:os.system [id]\n", ["f.yaml:1:4: a tag (!name) is not allowed here"]),
        ("!x k: 1\n", ["f.yaml:1:1: a tag (!name) is not allowed here"]),
        ("? [a, b]\n: 1\n", ["f.yaml:1:3: a key must be a plain word"]),
        ("[1e999]", ["f.yaml:1:2: a number too large to be kept exactly; put it in quotes"]),
        ("a: 1234567890123456789", ["f.yaml:1:4: a number too large to be kept exactly; put it in quotes"]),
        ('a: "x\\0"', ["f.yaml:1:4: a text must hold no NUL and no half of a character (\\0, \\ud800)"]),
        ('"\\ud83d": 1', ["f.yaml:1:1: a text must hold no NUL and no half of a character (\\0, \\ud800)"]),
    ],
)
def test_mistakes_of_form(text: str, problems: list[str]) -> None:
    """Every mistake is told at its place, all of them at once."""
    assert _problems(text) == problems


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\ta: 1", "a: 'x", "}", "@", "a: \x00", "%YAML 9.9\n---\n", "- a\nb: 1"]
)
def test_what_is_no_yaml(text: str) -> None:
    """What cannot be read at all is one problem with a place."""
    (problem,) = _problems(text)

    assert problem.startswith("f.yaml:")
    assert "not YAML" in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: {{ x }} y\n", '2:5: a template needs quotes: "{{ ... }}"'),
        ("a: 1\nb: {% if x %}1{% endif %}\n", '2:4: not YAML: a template needs quotes: "{{ ... }}"'),
        ("a: 1\nbcd: [x, {% y %}]\n", '2:10: not YAML: a template needs quotes: "{{ ... }}"'),
        ("a: 1\nbcd: [{% y %}]\n", '2:7: not YAML: a template needs quotes: "{{ ... }}"'),
        (
            'r:\n  - p: "pl\n    d: d1\n  - p: "x"\n',
            "2:8: not YAML: the quote that opens here is closed only in line 4",
        ),
        ('a: 1\nb: "x', "2:4: not YAML: the quote that opens here is never closed"),
        ("a: 1\nbc: [1\nd: 2\n", '2:5: not YAML: the "[" that opens here is not closed'),
        ("a: 1\nbc: {d: 1\n", '2:5: not YAML: the "{" that opens here is not closed'),
        ("a: 1\nbc: *\n", '2:5: not YAML: a text that begins with * needs quotes: "*"'),
        ("a: 1\nbc: @d\n", "2:5: not YAML: a text that begins with @ needs quotes"),
        ("a: 1\n\tb: 2\n", "2:1: not YAML: a tab stands here; indent with blanks"),
        (
            'a: 1\nbc: "x" y\n',
            "2:9: not YAML: more text after a value that was complete; put the whole value in quotes",
        ),
        ("a:\n  - b\n c: 1\n", "3:2: not YAML: expected <block end>, but found '<block mapping start>'"),
    ],
)
def test_a_slip_of_the_pen_is_told_where_it_is_mended(text: str, problem: str) -> None:
    """The line and the column of what to write otherwise, which the parser often sees much later."""
    assert _problems(text) == [f"f.yaml:{problem}"]


def test_what_was_found_before_the_end_is_told_too() -> None:
    """A file that breaks off still tells the mistakes before the break."""
    assert len(_problems("a: 1\na: 2\nb: [")) == 2
    assert len(_problems("a: 1\na: 2\nb: " + "[" * 40 + "]" * 40)) == 2


def test_depth() -> None:
    """A file nests as deep as the limit and no deeper."""
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, file="f.yaml").value
    assert _problems("[" * 40 + "]" * 40) == [f"f.yaml:1:{MAX_DEPTH + 2}: is nested deeper than {MAX_DEPTH}"]
    assert _problems("? " * 40 + "a")[-1] == f"f.yaml:1:{2 * MAX_DEPTH + 3}: is nested deeper than {MAX_DEPTH}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 100_000,
        "{a: " * 50_000,
        "- " * 50_000,
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
        "&a [*a]",
    ],
)
def test_bombs(bomb: str) -> None:
    """Deep nesting and aliases of aliases cost no more than reading them."""
    assert _problems(bomb)


@pytest.mark.timeout(120)
def test_a_great_many_problems() -> None:
    """Of many mistakes the first hundred are told, and how many more there are: nobody reads a longer list."""
    of_form = _problems("{" + "a: 1, " * 1_000 + "}")
    with pytest.raises(ConfigError) as error:
        validate(_Outer, parse("routes: [" + "1, " * 1_000 + "]", file="f.yaml"))

    for told, more in ((of_form, 899), ([str(problem) for problem in error.value.problems], 900)):
        assert len(told) == 101
        assert told[-1].endswith(f"... and {more} more, from here on")


def test_size() -> None:
    """The limit counts bytes, not characters."""
    assert parse("é", file="f.yaml", max_bytes=2).value == "é"
    assert _problems("éé", max_bytes=3) == ["f.yaml: is larger than 3 bytes"]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (2, 1)),
        (("routes",), (2, 1)),
        (("routes", 0), (3, 5)),
        (("routes", 0, "pipeline"), (3, 5)),
        (("routes", 0, "pipeline", 1), (3, 19)),
        (("routes", 0, "pipeline", 9), (3, 5)),  # not there: the nearest that is
        (("routes", 0, "dag"), (4, 5)),
        (("routes", 7, "dag"), (2, 1)),
        (("nowhere",), (2, 1)),
    ],
)
def test_places(path: Path, place: tuple[int, int]) -> None:
    """A path stands at its key or item, one that is not there at its nearest ancestor."""
    tree = parse("# comment\nroutes:\n  - pipeline: [a, b]\n    dag: x\n", file="f.yaml")

    assert tree.place(path) == place
    assert str(tree.problem(path, "odd")) == f"f.yaml:{place[0]}:{place[1]}: odd"


def test_an_empty_tree_has_a_place() -> None:
    """Even where there is nothing, a problem can point at the first character."""
    assert Tree("f.yaml").place(("a", 0)) == (1, 1)


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    pipeline: str
    on: Literal["succeeded", "failed"] = "succeeded"
    tries: int = Field(1, ge=1)
    enabled: bool = True
    words: list[str] = Field(default_factory=list)


class _Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    routes: list[_Inner] = Field(min_length=1)
    named: dict[str, _Inner] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1:1: is empty"]),
        ("[]", ["1:1: the file is a list; put `routes:` before it and indent it"]),
        ("{}", ['1:1: the key "routes" is missing']),
        ("routes: []", ['1:1: "routes" is empty']),
        ("routes: 5", ['1:1: "routes" must be a list']),
        ("routes: [5]", ['1:10: "item 1" must hold keys with values']),
        ("rotes: []\nroutes: [{pipeline: x}]", ['1:1: unknown key "rotes", did you mean "routes"?']),
        (
            "routes:\n- pipline: a\n  on: faild\n",
            [
                '2:3: the key "pipeline" is missing',
                '2:3: unknown key "pipline", did you mean "pipeline"?',
                '3:3: "faild" is not valid here, did you mean "failed"?',
            ],
        ),
        (
            "routes: [{pipeline: x, zzz: 1}]",
            ['1:24: unknown key "zzz"; there is pipeline, on, tries, enabled, words'],
        ),
        ("routes: [{pipeline: x, on: zzz}]", ['1:24: "zzz" is not valid here; it can be succeeded, failed']),
        ("routes: [{pipeline: 5}]", ['1:11: "pipeline" must be a string; put it in quotes: "5"']),
        ("routes: [{pipeline: 0012}]", ['1:11: "pipeline" must be a string; put it in quotes: "0012"']),
        ("routes: [{pipeline: true}]", ['1:11: "pipeline" must be a string; put it in quotes: "true"']),
        ("routes: [{pipeline: [x]}]", ['1:11: "pipeline" must be a string']),
        ("routes: [{pipeline: x, enabled: yes}]", ['1:24: "enabled" must be true or false']),
        ("routes: [{pipeline: x, tries: 0}]", ['1:24: "tries" must be greater than or equal to 1']),
        ("routes: [{pipeline: x, words: [a, 5]}]", ['1:35: "item 2" must be a string; put it in quotes: "5"']),
        (
            "routes: [{pipeline: x}]\nnamed:\n  one: {pipelin: y, pipeline: x}\n",
            ['3:9: unknown key "pipelin", did you mean "pipeline"?'],
        ),
    ],
)
def test_models_complain_at_the_place(text: str, problems: list[str]) -> None:
    """Each complaint of the model is one line that says where, what, and the nearest valid word."""
    with pytest.raises(ConfigError) as error:
        validate(_Outer, parse(text, file="f.yaml"))

    assert [str(problem).removeprefix("f.yaml:") for problem in error.value.problems] == problems


def test_a_good_file_becomes_its_model() -> None:
    """What the model accepts comes back as the model."""
    read = validate(_Outer, parse("routes: [{pipeline: x, on: failed}]", file="f.yaml"))

    assert (read.routes[0].pipeline, read.routes[0].on) == ("x", "failed")


_SOUP = st.text(st.sampled_from("ab:-[]{},&*!|>'\"#%@?\n \t~01.é\\u0"), max_size=60)


@given(_SOUP | st.text(max_size=40))
def test_any_text_is_a_tree_or_problems(text: str) -> None:
    """Whatever stands in the file, the answer is values with places, or problems with places that can be printed."""
    problems: list[Problem] = []
    try:
        validate(_Outer, parse(text, file="f.yaml"))
    except ConfigError as error:
        problems = error.problems

    assert all(str(problem).encode() for problem in problems)


def test_what_the_parser_itself_cannot_place_is_said_at_the_beginning() -> None:
    """In its own words."""
    said = "not YAML: unacceptable character #x0000: special characters are not allowed"
    assert _problems("a: \x00") == [f"f.yaml:1:1: {said}"]
