"""Columns that are spelled by hand are read by PostgreSQL as what they were."""

import struct

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.edges.inbox.engine import columns

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_ROWS = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | _TEXT,
    st.none() | st.binary(max_size=60),
)


@given(st.lists(_ROWS, min_size=1, max_size=20))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_spelled_is_read(postgres: str, rows: list[tuple[int | None, str | None, bytes | None]]) -> None:
    """Numbers to their limits, any text, any bytes, NULL; but for NUL, which PostgreSQL's text cannot hold."""
    numbers, words, blobs = (list(column) for column in zip(*rows, strict=True))
    with psycopg.connect(postgres) as connection:
        columns.register(connection)
        values = [columns.bigints(numbers), columns.texts(words), columns.byteas(blobs)]
        found = connection.execute(
            "SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bytea[])", values, prepare=True
        ).fetchall()
    readable = [None if word is None else word.replace("\0", "\N{REPLACEMENT CHARACTER}") for word in words]
    assert found == list(zip(numbers, readable, blobs, strict=True))


def test_a_number_beyond_its_column() -> None:
    """It is told here, and not cut off."""
    with pytest.raises(struct.error):
        columns.bigints([2**63])
