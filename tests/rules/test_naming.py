"""Which ids a delivery names, also one that cannot be read or contradicts itself."""

from typing import Any

import pytest

from bridge.rules.naming import kind_of
from bridge.rules.planning import Subject

READABLE = b'{"id": "evt_1", "job_id": "job_1", "run_id": "run_1", "backfill_id": "bf_1", "pipeline_id": "pl_1"}'


def subject(body: bytes, **more: Any) -> Subject:
    """Return a delivery."""
    return Subject("dlv_0000000000000001", "planasonix", "2025-03-27T14:00:00Z", body, **more)


@pytest.mark.parametrize(
    ("id_", "kind"),
    [
        *(("evt_1", "event"), ("job_1", "job"), ("run_1", "run"), ("bf_1", "backfill"), ("pl_1", "pipeline")),
        *(("pl_", None), ("pl_12", None), ("id", None)),
    ],
)
def test_an_id_is_named_whole(id_: str, kind: str | None) -> None:
    """By the field that it stands in; no other text of the body is one."""
    assert kind_of(id_, subject(READABLE)) == kind


def test_a_url_that_contradicts_the_body_hides_nothing() -> None:
    """What the body names is named."""
    assert kind_of("pl_1", subject(READABLE, path_pipeline_id="pl_2")) == "pipeline"


def test_what_the_api_answered_names_ids_too() -> None:
    """As for routing."""
    asked = subject(b'{"id": "evt_1", "job_id": "job_1"}', lookup={"id": "job_1", "pipeline_id": "pl_1"})
    assert kind_of("pl_1", asked) == "pipeline"


@pytest.mark.parametrize(("id_", "kind"), [("pl_1", "text"), ("pl_2", "text"), ("pl", None), ("l_1", None)])
def test_what_cannot_be_read_has_ids_among_its_words(id_: str, kind: str | None) -> None:
    """Nobody knows as what."""
    assert kind_of(id_, subject(b'{"pipeline_id": "pl_1", "x": "pl_2",')) == kind
