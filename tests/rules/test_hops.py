"""How many of the bridge's DAG runs led to an event, as its metadata tells."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.hops import hops, is_circle
from bridge.words.model import Event

_OURS = "planasonix__job_1__succeeded__sales"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, 0),
        ({"hops": 2}, 2),
        ({"hops": "2"}, 2),  # whoever passes metadata on may turn numbers into text
        ({"planasonix": {"hops": 3}}, 3),
        ({"planasonix": {"hops": "3"}}, 3),
        ({"hops": 1, "planasonix": {"hops": 3}}, 1),
        ({"hops": "many", "planasonix": {"hops": 3}}, 3),
        ({"dag_run_id": _OURS}, 1),
        ({"dag_run_id": _OURS, "hops": 4}, 4),
        ({"dag_run_id": _OURS, "hops": None}, 1),
        ({"dag_run_id": "scheduled__2025-03-27T02:00:00+00:00"}, 0),
        ({"dag_run_id": 7}, 0),
        ({"planasonix": "hops"}, 0),
        ({"planasonix": ["hops"]}, 0),
        ({"hops": True}, 0),
        ({"hops": 1.0}, 0),
        ({"hops": -1}, 0),
        ({"hops": "-1"}, 0),
        ({"hops": "\N{ARABIC-INDIC DIGIT TWO}"}, 0),
        ({"hops": "9" * 5000}, 0),
        ({"hops": 10**30}, 0),
        ({"hops": 1_000_000}, 1_000_000),
        ({"hops": 1_000_001}, 0),
        ({"hops": [1]}, 0),
    ],
)
def test_hops(metadata: dict[str, Any], expected: int) -> None:
    """A count that is there is taken; a run of ours without one counts once; anything else is no circle."""
    assert hops(Event(metadata=metadata)) == expected


@pytest.mark.parametrize(("count", "limit", "expected"), [(0, 3, False), (2, 3, False), (3, 3, True), (9, 3, True)])
def test_limit(count: int, limit: int, expected: bool) -> None:
    """The limit is the number of DAG runs in a row that may be."""
    assert is_circle(count, limit) is expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["hops", "planasonix", "x"]), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["hops", "planasonix", "dag_run_id"]), _JSON))
def test_any_metadata_gives_a_count(metadata: dict[str, Any]) -> None:
    """Whatever a sender puts into metadata is a small whole number in the end."""
    assert 0 <= hops(Event(metadata=metadata)) <= 1_000_000
