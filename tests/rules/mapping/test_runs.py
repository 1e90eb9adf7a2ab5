"""How long a DAG run id may be, and what Airflow would not store."""

import pytest

from bridge.rules.mapping.runs import clean, run_id
from bridge.words.errors import TemplateError


def test_a_run_id_of_200_letters_stays_as_it_is() -> None:
    """Airflow takes 250: fifty are kept free for `__rN`, and for databases that count bytes."""
    assert run_id("x" * 200) == "x" * 200


@pytest.mark.parametrize("wanted", ["x" * 201, "x" * 300, "x" * 199 + " y"])
def test_a_longer_one_is_cut_to_that_length(wanted: str) -> None:
    """And ends in a digest of all of it."""
    cut, _, digest = run_id(wanted).partition("--")
    assert (cut, len(digest)) == ("x" * 186, 12)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_has_not_is_refused(number: float) -> None:
    """However deep it stands: Airflow would store null for it."""
    with pytest.raises(TemplateError, match=r"^conf: holds a number that is infinite or none at all$"):
        clean({"a": [1.5, {"b": number}]})
