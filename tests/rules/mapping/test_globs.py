"""What is wrong with a glob, to the letter: where a bracket closes, which range is empty, what no id can be."""

import pytest

from bridge.rules.mapping.globs import beginning, doubt, matcher, mistake

_OPEN = 'a "[" without its "]"'
_LISTS = "it is one text; write a list: "
_BRACES = "a glob knows no {a,b}; write a list, one for each"
_SPELLED = "write it as webhooks spell it"


@pytest.mark.parametrize(
    ("glob", "what"),
    [
        ("a", None),
        ("[]", _OPEN),
        ("[!]", _OPEN),
        ("a[", _OPEN),
        ("[]]", None),
        ("[!]]", None),
        ("[!a]", None),
        ("[a[]", None),
        ("[a]]", None),
        ("[a][", _OPEN),
        ("[a][!]", _OPEN),
        ("[-A]", None),
        ("[a-a]", None),
        ("[a-b]", None),
        ("[b-a]", 'the range "b-a" is empty'),
        ("[!b-a]", 'the range "b-a" is empty'),
        ("[a-zZ-A]", 'the range "Z-A" is empty'),
        ("[a][z-y]", 'the range "z-y" is empty'),
    ],
)
def test_a_bracket_is_read_as_it_will_match(glob: str, what: str | None) -> None:
    """A `]` in the first place is a member, also behind `!`; every bracket of a glob is looked at."""
    assert mistake(glob, of_an_id=False) == (what and f'bad glob "{glob}": {what}')


@pytest.mark.parametrize("glob", ["{{ event.id }}", "{% if x %}", "a{%"])
def test_a_template_is_no_glob(glob: str) -> None:
    """Neither of the two kinds of braces."""
    assert mistake(glob, of_an_id=False) == f'"{glob}" is a glob, not a template'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pl_{a", _BRACES),
        ("pl_a}", _BRACES),
        ("[ab]c,d", f"{_LISTS}[[ab]c, d]"),
        ("c,[ab]", f"{_LISTS}[c, [ab]]"),
        ("[a,b]", f"{_LISTS}[a, b]"),
        ("a b", "no id holds a blank"),
        ("a/b", f'no id holds "/", only A to Z, a to z, digits and `_.:-`; {_SPELLED}'),
        ("_" + "x" * 127, f'an id begins with a letter or digit, and never with "_"; {_SPELLED}'),
        ("x" * 129, f"it asks for 129 letters, and an id has 128 at most; {_SPELLED}"),
    ],
)
def test_a_text_that_no_id_matches_says_what_to_write(text: str, why: str) -> None:
    """All of it is shown, unless it is longer than any id."""
    shown = text if len(text) <= 128 else f"{text[:128]}..."
    assert mistake(text, of_an_id=True) == f'"{shown}" can never match: {why}'
    assert mistake(text, of_an_id=False) is None


def test_an_id_of_the_longest_kind_is_let_in() -> None:
    """128 letters, as the contract says."""
    assert mistake("x" * 128, of_an_id=True) is None


@pytest.mark.parametrize("name", ["x", "x{y}", "1 $ 2", "[ab]", "a b"])
def test_a_name_may_hold_almost_anything(name: str) -> None:
    """Nothing is said that is not certain."""
    assert doubt(name) is None


@pytest.mark.parametrize(
    ("globs", "begins", "yes", "no"),
    [(["pl_1", "x"], ["pl_1", "x"], "x", "pl_"), (["pl_*", "a?b[c]"], ["pl_", "a"], "a1bc", "pl")],
)
def test_a_route_is_found_by_the_beginnings_of_its_globs(
    globs: list[str], begins: list[str], yes: str, no: str
) -> None:
    """All of a text without wildcards; else what stands before the first of them."""
    assert [beginning(glob) for glob in globs] == begins
    assert (bool(matcher(globs)(yes)), bool(matcher(globs)(no))) == (True, False)
