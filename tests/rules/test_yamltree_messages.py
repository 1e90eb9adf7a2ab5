"""What a file with a mistake is told, to the letter: the place, the words, and the limits."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark

from bridge.rules.yamltree import Tree, config_error, nearest, parse, validate
from bridge.words.errors import ConfigError, Problem

_BEHIND = "more text after a value that was complete; put the whole value in quotes"
_FOUND_TEXT = "expected <block end>, but found '<scalar>'"
_TWICE = "stands here twice, first in line 1"
_TEMPLATE = 'a template needs quotes: "{{ ... }}"'
_STREAM_END = "expected the node content, but found '<stream end>'"


def _problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        parse(text, file="f")
    return [str(problem).removeprefix("f:") for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('bc: "x" y\n', [f"1:9: not YAML: {_BEHIND}"]),
        ('a: 1\nb: "x"y\n', [f"2:7: not YAML: {_BEHIND}"]),
        ("a: [1\n]y\n", [f"2:2: not YAML: {_BEHIND}"]),
        ("a: 'x\n  y' z\n", [f"2:6: not YAML: {_BEHIND}"]),
        ("a: 'x\n  y'z\n", ["1:4: not YAML: the quote that opens here is closed only in line 2"]),
        ('a: "x"\n  "y"\n', [f"2:3: not YAML: {_FOUND_TEXT}"]),
        ("a: 1\nb: |\n  x\n y\n", [f"4:2: not YAML: {_FOUND_TEXT}"]),
        ("a: 1\nbc: }\n", ["2:5: not YAML: expected the node content, but found '}'"]),
        ('a: 1\nbc: "\\q"\n', ["2:7: not YAML: found unknown escape character 'q'"]),
        (
            "a: b: c\n",
            [
                "1:5: not YAML: a second `: ` in one value; put the value in quotes, "
                "or indent the key like its neighbours"
            ],
        ),
        (
            "{a: 1, a: 2} }",
            [f'1:8: the key "a" {_TWICE}', "1:14: not YAML: expected '<document start>', but found ('}',)"],
        ),
        ("a: {{ x }}\nb: [", [f"1:5: {_TEMPLATE}", f"2:5: not YAML: {_STREAM_END}"]),
        ("a: {{ x }} y\n", [f"1:5: {_TEMPLATE}"]),
        ("? *a\n: 1\n", ["1:3: a key must be a plain word"]),
    ],
)
def test_each_mistake_is_told_once_at_its_place(text: str, problems: list[str]) -> None:
    """Two mistakes of one line are both told, unless one is the other in worse words."""
    assert _problems(text)[: len(problems)] == problems
    assert len(_problems(text)) == len(problems) + ("*" in text)


_MARK = StringMark("f", 0, 3, 5, "", 0)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (MarkedYAMLError(problem="odd", problem_mark=_MARK), "4:6: not YAML: odd"),
        (MarkedYAMLError(context="while reading", context_mark=_MARK), "4:6: not YAML: while reading"),
        (MarkedYAMLError(problem="odd"), "1:1: not YAML: odd"),
        (ValueError("x" * 200 + "\nmore"), f"1:1: not YAML: {'x' * 200}"),
        (ValueError("x" * 201), f"1:1: not YAML: {'x' * 200}"),
        (RecursionError(), "1:1: not YAML: RecursionError"),
    ],
)
def test_whatever_the_parser_raises_is_a_problem_with_a_place(
    monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    """In its own words; at the beginning if it names no place."""

    def broken(_: YAML, __: str) -> None:
        raise error

    monkeypatch.setattr(YAML, "parse", broken)
    assert _problems("a: 1") == [problem]


def test_a_file_is_one_mebibyte_at_most() -> None:
    """Of a larger one nothing is read, so there is no line to name."""
    with pytest.raises(ConfigError) as error:
        parse("x" * 1_048_577, file="f")
    assert error.value.problems == [Problem("f", 0, 0, "is larger than 1048576 bytes")]


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ("{a: ", "}")])
def test_values_nest_32_deep(begin: str, end: str) -> None:
    """Lists and objects alike, the innermost value included."""
    assert parse(begin * 32 + "1" + end * 32, file="f").value
    assert _problems(begin * 33 + "1" + end * 33) == [f"1:{33 * len(begin) + 1}: is nested deeper than 32"]


def test_a_place_that_is_not_there_is_its_nearest_ancestors() -> None:
    """Not the one above that."""
    assert parse("a:\n  - b: 1\n    c: 2\n", file="f").place(("a", 0, "c", 5)) == (3, 5)


def test_a_hundred_problems_are_all_told() -> None:
    """Of one more it is said that it is there."""
    hundred = [Problem("f", line, 1, "odd") for line in range(1, 101)]
    assert config_error(hundred).problems == hundred
    *told, last = config_error([*hundred, Problem("f", 101, 1, "odd")]).problems
    assert (told, str(last)) == (hundred, "f:101:1: ... and 1 more, from here on")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("rout", ', did you mean "route"?'), ("rooter", ', did you mean "router"?'), ("zzz", "")],
)
def test_only_the_nearest_word_is_named(word: str, hint: str) -> None:
    """However many are near."""
    assert nearest(word, ["router", "route", "routes", "on"]) == hint


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    on: Annotated[str, Field(alias="when")] = ""
    status: Annotated[str, Field(pattern="^[a-z]+$")] = "ok"


class _Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    first: _Inner | None = None
    words: Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str | int) else given)] = []
    more: Annotated[list[str], BeforeValidator(lambda given: [*given, 5])] = []
    either: list[int] | bool = False
    long: str = Field("", max_length=3)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("abc", ['1:1: "file" must hold keys with values']),
        ("first: {whenn: x}", ['1:9: unknown key "whenn", did you mean "when"?']),
        ("first: {on: x}", ['1:9: unknown key "on"; there is when, status']),
        ("first: {zzz: x}", ['1:9: unknown key "zzz"; there is when, status']),
        ("zzz: 1", ['1:1: unknown key "zzz"; there is first, words, more, either, long']),
        ("words: 5", ['1:1: "words" must be a string; put it in quotes: "5"']),
        ("words: [a, 007]", ['1:12: "item 2" must be a string; put it in quotes: "007"']),
        ("more: [a]", ['1:1: "more" must be a string; put it in quotes: "5"']),
        ("long: abcd", ['1:1: "long" must have at most 3 characters']),
        ("first: {status: A}", ["1:9: \"status\" string should match pattern '^[a-z]+$'"]),
    ],
)
def test_models_complain_in_the_words_of_the_file(text: str, problems: list[str]) -> None:
    """By the key that stands there, also where a text stands for a list of them."""
    with pytest.raises(ConfigError) as error:
        validate(_Outer, parse(text, file="f"))
    assert [str(problem).removeprefix("f:") for problem in error.value.problems] == problems


def test_an_item_is_found_where_a_value_may_be_of_several_kinds() -> None:
    """The kinds that pydantic names beside it stand nowhere in the file."""
    with pytest.raises(ConfigError) as error:
        validate(_Outer, parse("either: [1, x]", file="f"))
    assert 'f:1:13: "item 2" must be an integer' in str(error.value).splitlines()


@pytest.mark.parametrize(("given", "quoted"), [(5, "5"), (True, "true"), (1.5, "1.5")])
def test_what_has_no_spelling_of_its_own_is_quoted_as_json_has_it(given: Any, quoted: str) -> None:
    """A value that came by another way than a file."""
    with pytest.raises(ConfigError) as error:
        validate(_Outer, Tree("f", {"long": given}))
    assert [problem.what for problem in error.value.problems] == [
        f'"long" must be a string; put it in quotes: "{quoted}"'
    ]


@pytest.mark.parametrize("length", [60, 61])
def test_a_value_that_is_none_of_the_words_is_shown_with_sixty_letters(length: int) -> None:
    """So that a whole file by mistake does not fill the screen."""

    class _Words(BaseModel):
        word: Literal["yes"]

    with pytest.raises(ConfigError) as error:
        validate(_Words, parse(f"word: {'x' * length}", file="f"))
    assert str(error.value) == f'f:1:1: "{"x" * 60}" is not valid here; it can be yes'
