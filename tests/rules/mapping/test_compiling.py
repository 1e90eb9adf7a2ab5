"""What compiling a mapping says of texts, names and sources, exactly at its limits."""

import json

import pytest

from bridge.rules.mapping import Mapping, read
from bridge.words.errors import ConfigError


def _read(text: str, sources: list[str] | None = None, airflows: list[str] | None = None) -> Mapping:
    return read(text, file="m", airflows=airflows, sources=sources)


def _problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        _read(text)
    return [str(problem).removeprefix("m:") for problem in error.value.problems]


def _route(**keys: str) -> str:
    return json.dumps({"routes": [{"dag": "d", "pipeline": "p"} | keys]})


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("event.id", "event.id"),
        (" event.id ", "event.id"),
        ("{event.id}", "event.id"),
        ("{ event.parameters.x  }", "event.parameters.x"),
        ("{" + " " * 9 + "event.id}", "event.id"),
        ("{event.id" + " " * 99 + "}", "event.id"),
        ("{event.parameters." + "x" * 98 + "}", "event.parameters." + "x" * 98),
        ("event.parameters." + "x" * 98, "event.parameters." + "x" * 98),
        ("{" + " " * 10 + "event.id}", None),
        ("{event.parameters." + "x" * 99 + "}", None),
        ("event.parameters." + "x" * 99, None),
        ("{event.id: 1}", None),
    ],
)
def test_a_field_without_its_braces_is_found_if_it_is_short(text: str, field: str | None) -> None:
    """The warning shows it as it stands, so it has a bound."""
    shown = " ".join(text.split())
    said = [f"note: {shown} is sent as it stands; write {{{{ {field} }}}}"] if field else []
    assert [warning.what for warning in _read(_route(note=text)).warnings] == said


@pytest.mark.parametrize(
    ("dag", "hint"),
    [
        ("a,b", "write a list: [a, b]"),
        ("a, b ,c", "write a list: [a, b, c]"),
        (" a ", None),
        ("a,", None),
        ("a b, c", None),
        ("..", None),
        ("a/" + "b" * 58, None),
        ("a/" + "b" * 59, None),
    ],
)
def test_what_is_no_dag_id_says_what_to_write(dag: str, hint: str | None) -> None:
    """A list only if each of its parts is one; sixty letters of it are shown."""
    hint = hint or 'letters, digits, "_", "-" and ".", at most 250'
    assert _problems(_route(dag=dag)) == [f'1:14: "{dag[:60]}" is not a DAG id: {hint}']


@pytest.mark.parametrize(
    ("key", "longest"), [("owner", 100), ("airflow", 64), ("pipeline", 128), ("environment", 250), ("name", 100)]
)
def test_texts_have_a_longest_length(key: str, longest: int) -> None:
    """One letter more is said, with what is allowed."""
    assert _read(_route(**{key: "x" * longest})).routes
    (problem,) = _problems(_route(**{key: "x" * (longest + 1)}))
    assert str(longest) in problem


@pytest.mark.parametrize(("key", "longest"), [("owner", 100), ("airflow", 64), ("environment", 250)])
def test_a_text_that_is_too_long_is_told_in_words(key: str, longest: int) -> None:
    """Of characters, and of what stands in the file."""
    (problem,) = _problems(_route(**{key: "x" * (longest + 1)}))
    assert problem.partition(": ")[2] == f'"{key}" must have at most {longest} characters'


@pytest.mark.parametrize("owner", ["", "  ", "a\nb", "\x07"])
def test_an_owner_is_one_line_of_text(owner: str) -> None:
    """With at least one letter."""
    assert _problems(_route(owner=owner)) == ['1:43: "owner" is one line of text']


@pytest.mark.parametrize(("name", "is_one"), [("x" * 64, True), ("x" * 65, False), ("_1", True), ("1a", False)])
def test_the_name_of_a_constant(name: str, is_one: bool) -> None:
    """As long as 64 letters; of another one sixty are shown."""
    text = json.dumps({"vars": {name: 1}, "routes": [{"dag": "d", "pipeline": "p"}]})
    if is_one:
        assert _read(text).routes
    else:
        what = 'is no name that a template can read: letters, digits and "_", at most 64'
        assert _problems(text) == [f'1:2: "{name[:60]}" {what}']


@pytest.mark.parametrize("braces", ["{{ event.id }}", "{% if event.id %}"])
def test_what_is_static_takes_no_template(braces: str) -> None:
    """Neither kind of braces: in constants, in keys of conf, in the owner."""
    conf = json.dumps({"vars": {"a": [braces]}, "routes": [{"dag": "d", "pipeline": "p", "conf": {braces: 1}}]})
    assert [problem.partition(": ")[2] for problem in _problems(conf)] == [
        "`vars` hold plain values; write the template where the value is used",
        "a key of conf is static text: an event can never choose it",
    ]
    said = '"owner" is static text: an event can never choose it; write one route for each'
    assert _problems(_route(owner=braces)) == [f"1:43: {said}"]


def test_any_name_will_do_where_none_is_known() -> None:
    """`check` of a mapping alone has no bridge.yaml beside it."""
    (route,) = _read(_route(source="whoever", airflow="anywhere")).routes
    assert (route.airflow, str(route.tests[0])) == ("anywhere", 'source: "whoever"')
    assert _read(_route()).routes[0].airflow == "default"


@pytest.mark.parametrize(
    ("source", "hint"),
    [("planasonic", ', did you mean "planasonix"?'), ("zzz", "; there is planasonix, crm"), ("crm*", None)],
)
def test_a_source_that_is_not_there_is_said(source: str, hint: str | None) -> None:
    """With the nearest, or with all that there are; a glob that one of them fits is none."""
    text = _route(source=source)
    if hint is None:
        assert _read(text, sources=["planasonix", "crm"]).routes
        return
    with pytest.raises(ConfigError) as error:
        _read(text, sources=["planasonix", "crm"])
    assert error.value.problems[0].what == f'can never match: no source "{source}"{hint}'
