"""What needs a person that no delivery tells of."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules.troubles import of_certificate

NOW = datetime(2025, 3, 27, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (None, []),
        (timedelta(days=14), []),
        (timedelta(days=14, seconds=-1), ["ends at 2025-04-10 02:59 UTC"]),
        (timedelta(seconds=1), ["ends at 2025-03-27 03:00 UTC"]),
        (timedelta(0), ["ended at 2025-03-27 03:00 UTC"]),
        (timedelta(days=-1), ["ended at 2025-03-26 03:00 UTC"]),
    ],
)
def test_a_certificate_needs_a_person_two_weeks_before_it_ends(left: timedelta | None, says: list[str]) -> None:
    """And afterwards; without one there is nothing to renew."""
    found = list(of_certificate(None if left is None else NOW + left, NOW))
    assert [each.says for each in found] == [f"the certificate of the admin listener {item}" for item in says]
    assert all((each.what, each.about, each.since) == ("key_expires", "admin listener", None) for each in found)
