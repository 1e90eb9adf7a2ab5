"""Every target holds for what fuzzing begins with, and for every input that once broke something."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.application import Application
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

_CORPUS = Path(__file__).parent / "corpus"


def _inputs(target: str) -> list[bytes]:
    return [*seeds(target), *(path.read_bytes() for path in sorted((_CORPUS / target).glob("*")))]


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_target_holds_for_its_corpus(target: str) -> None:
    """The seeds and the once broken inputs."""
    inputs = _inputs(target)
    assert inputs
    for item in inputs:
        TARGETS[target](item)


@pytest.fixture
def application(standard_logging: None) -> Iterator[Application]:
    """The whole app on a store of its own."""
    item = Application()
    yield item
    item.close()


def test_application_holds_for_its_corpus(application: Application) -> None:
    """The seeds and the once broken inputs; among the seeds are webhooks that are accepted."""
    for item in _inputs("application"):
        application.one(item)
    assert application.accepted_in_all >= 5
