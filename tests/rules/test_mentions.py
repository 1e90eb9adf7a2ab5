"""A body that does not mention a text names no pipeline whose id holds it, however the body is spelled."""

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules import planning
from bridge.rules.mapping.globs import certain, mistake
from bridge.rules.mentions import mentions
from bridge.rules.planning import Plan, Subject

_IDS = st.text("ab1_.:-", min_size=1, max_size=6) | st.integers(0, 10**6)
_GLOBS = st.text("ab1_*?[]!-", min_size=1, max_size=8).filter(lambda glob: mistake(glob, of_an_id=True) is None)


def _escaped(body: str, letters: set[str]) -> bytes:
    """Spell these letters as JSON may spell every letter of a text."""
    return "".join(f"\\u{ord(each):04x}" if each in letters and each.isalpha() else each for each in body).encode()


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    """Bodies that name a pipeline, in them, in the URL or in a look-up's answer."""
    values: list[Any] = draw(st.lists(_IDS | st.none(), min_size=3, max_size=3))
    word = draw(st.sampled_from(["pipeline_id", "pipelineId"]))
    body = {"type": "job.succeeded", "data": {word: values[0], "x": 1}}
    text = json.dumps(body, indent=draw(st.sampled_from([None, 1])))
    data_begins = text.index(word) + len(word)
    letters = draw(st.sets(st.sampled_from("ab")))
    spelled = text[:data_begins].encode() + _escaped(text[data_begins:], letters)
    url = None if values[1] is None else str(values[1])
    lookup = None if values[2] is None else {"pipelineId": values[2]}
    return Subject("dlv_0", "planasonix", "2026-08-01T10:00:00Z", spelled, url, lookup)


@given(subjects(), _GLOBS)
def test_what_a_glob_accepts_is_mentioned(subject: Subject, glob: str) -> None:
    """In the body, the URL or the answer; nothing else makes a pipeline's id."""
    event = planning.read(subject)
    if isinstance(event, Plan) or event.pipeline_id is None or not fnmatch.fnmatchcase(event.pipeline_id, glob):
        return
    lookup = None if subject.lookup is None else json.dumps(subject.lookup)
    where: dict[str, Any] = {"body": subject.body, "url_pipeline": subject.path_pipeline_id, "lookup": lookup}
    assert mentions(frozenset({certain(glob)}), **where)


@pytest.mark.parametrize(
    ("body", "url", "lookup", "is_so"),
    [
        (b'{"pipeline_id": "pl_a"}', None, None, True),
        (b'{"pipeline_id": "pl_b"}', None, None, False),
        (b'{"pipeline_id": "pl_b"}', "pl_a", None, True),
        (b'{"pipeline_id": "pl_b"}', "pl_b", '{"pipeline_id": "pl_a"}', True),
        (b'{"pipeline_id": "\\u0070l_a"}', None, None, True),
        (b"{}", None, '{"pipeline_id": "\\u0070l_a"}', True),
        (b'{"name": "M\\u20ac", "\\\\": 1}', None, '{"name": "\\u20ac"}', False),
    ],
)
def test_every_place_counts(body: bytes, url: str | None, lookup: str | None, is_so: bool) -> None:
    """What may be spelled in another way is read."""
    for others in (["pl_c"], [f"pl_c{number}" for number in range(20)]):
        assert mentions(frozenset(["pl_a", *others]), body=body, url_pipeline=url, lookup=lookup) is is_so
    assert not mentions(frozenset(), body=body, url_pipeline=url, lookup=lookup)


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("pl_a", "pl_a"),
        ("pl_*", "pl_"),
        ("*_daily", "_daily"),
        ("a*_long?b", "_long"),
        ("x[ab]yy[!]]z", "yy"),
        ("[]*]x", "x"),
        ("*", ""),
        ("[ab]", ""),
    ],
)
def test_the_longest_text_of_a_glob(glob: str, text: str) -> None:
    """Nothing inside brackets is certain."""
    assert certain(glob) == text


@given(_GLOBS, st.text("ab1_*[]!-", max_size=8))
def test_whatever_a_glob_matches_holds_its_text(glob: str, text: str) -> None:
    """As `fnmatch` reads it."""
    if fnmatch.fnmatchcase(text, glob):
        assert certain(glob) in text
