"""Columns of many rows are read by PostgreSQL as what they were."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.edges.inbox.engine import engines, postgresql

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_ROWS = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | _TEXT,
    st.none() | st.binary(max_size=60),
)


@pytest.fixture
def driver(postgres: str) -> Iterator[Any]:
    """A connection as webhooks are written on."""
    engine = postgresql.open_single(postgresql.driver_url(engines.read_url(postgres)), password=lambda: None)
    with engine.connect() as connection:
        yield connection.connection.driver_connection


_READ = "SELECT * FROM unnest(%b::bigint[], %b::text[], %b::bytea[])"


@given(st.lists(_ROWS, min_size=1, max_size=20))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_sent_is_read(driver: Any, rows: list[tuple[int | None, str | None, bytes | None]]) -> None:
    """Numbers to their limits, any text, any bytes, NULL; but for NUL, which PostgreSQL's text cannot hold."""
    numbers, words, blobs = (list(column) for column in zip(*rows, strict=True))
    found = driver.execute(_READ, [numbers, words, blobs], prepare=True).fetchall()
    readable = [None if word is None else word.replace("\0", "\N{REPLACEMENT CHARACTER}") for word in words]
    assert found == list(zip(numbers, readable, blobs, strict=True))


def test_a_number_beyond_its_column(driver: Any) -> None:
    """PostgreSQL says so, and does not cut it off."""
    with pytest.raises(psycopg.DataError):
        driver.execute(_READ, [[2**63], ["x"], [b"x"]])
