"""What is paused at a moment, and the words in which a person is told so."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules.pauses import Names, Pauses, check_name, is_gone, sentence, summary
from bridge.words.errors import BadFilter
from bridge.words.pauses import Pause, PauseKind

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROUTE = Pause(PauseKind.ROUTE, "orders", "cli:anna", NOW)
SOURCE = Pause(PauseKind.SOURCE, "orders", "api", NOW, NOW + HOUR, "a move")
AIRFLOW = Pause(PauseKind.AIRFLOW, "default", "api", NOW, NOW + 2 * HOUR)
NAMES: Names = {PauseKind.ROUTE: ["orders", "customers"], PauseKind.SOURCE: [], PauseKind.AIRFLOW: None}


def test_kinds_have_names_of_their_own() -> None:
    """A route and a source of one name are two things."""
    pauses = Pauses([ROUTE, SOURCE, AIRFLOW])
    assert (pauses.routes, pauses.sources, pauses.airflows) == ({"orders"}, {"orders"}, {"default"})
    assert pauses.get(PauseKind.SOURCE, "orders") is SOURCE
    assert pauses.get(PauseKind.SOURCE, "default") is None


def test_a_trigger_waits_for_its_airflow_or_its_route() -> None:
    """The wider cause is told first; another route at another Airflow waits for neither."""
    pauses = Pauses([ROUTE, AIRFLOW])
    assert pauses.of_trigger(route="orders", airflow="default") is AIRFLOW
    assert pauses.of_trigger(route="orders", airflow="other") is ROUTE
    assert pauses.of_trigger(route="customers", airflow="other") is None


def test_a_pause_with_an_end_is_over_from_that_moment_on() -> None:
    """One without an end never is."""
    pauses = Pauses([ROUTE, SOURCE, AIRFLOW])
    assert pauses.at(NOW + HOUR - timedelta(microseconds=1)).all == (ROUTE, SOURCE, AIRFLOW)
    assert pauses.at(NOW + HOUR).all == (ROUTE, AIRFLOW)
    assert pauses.at(NOW + 1000 * HOUR).all == (ROUTE,)


@pytest.mark.parametrize(
    ("pause", "said"),
    [
        (ROUTE, "route orders is paused by cli:anna since 2030-01-01T12:00:00Z until somebody resumes it"),
        (
            SOURCE,
            "source orders is paused by api since 2030-01-01T12:00:00Z until 2030-01-01T13:00:00Z: a move",
        ),
        (None, "the pause has ended; it goes on in a moment"),
    ],
)
def test_the_sentence_says_who_since_when_until_when_and_why(pause: Pause | None, said: str) -> None:
    """It is the detail of whatever waits."""
    assert sentence(pause) == said


@pytest.mark.parametrize(
    ("pause", "said"),
    [
        (ROUTE, "route orders is paused by cli:anna until somebody resumes it"),
        (SOURCE, "source orders is paused by api: a move"),
        (AIRFLOW, "airflow default is paused by api"),
    ],
)
def test_a_line_that_has_its_instants_beside_it_names_none(pause: Pause, said: str) -> None:
    """Only that there is no end."""
    assert summary(pause) == said


def test_a_route_without_a_name_of_its_own_is_not_paused() -> None:
    """Another one may be called so after the next change. A source of that name is another thing."""
    with pytest.raises(BadFilter, match=r"add `name: orders` to it in mapping\.yaml, or pause its"):
        check_name(PauseKind.ROUTE, "orders", NAMES, ["orders"])
    check_name(PauseKind.ROUTE, "customers", NAMES, ["orders"])
    check_name(PauseKind.AIRFLOW, "orders", NAMES, ["orders"])


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (PauseKind.ROUTE, "ordres", '"ordres" is not the name of a route, did you mean "orders"?'),
        (PauseKind.ROUTE, "x", '"x" is not the name of a route; there is orders, customers'),
        (PauseKind.SOURCE, "orders", '"orders" is not the name of a source; there is none'),
        (PauseKind.SOURCE, "x" * 101, f'"{"x" * 100}" is not the name of a source; there is none'),
        (PauseKind.AIRFLOW, "x", '"x" is not the name of an airflow; there is default, second'),
    ],
)
def test_a_name_that_is_not_configured_is_refused_with_the_nearest(kind: PauseKind, name: str, said: str) -> None:
    """A pause of a misspelled name would pause nothing."""
    with pytest.raises(BadFilter) as error:
        check_name(kind, name, {**NAMES, PauseKind.AIRFLOW: ["default", "second"]})
    assert str(error.value) == said


def test_a_name_that_nobody_can_check_is_taken() -> None:
    """A broken file must not keep a person from pausing."""
    check_name(PauseKind.AIRFLOW, "anything", NAMES)
    check_name(PauseKind.ROUTE, "orders", NAMES)


def test_a_pause_whose_name_has_gone_is_known_as_such() -> None:
    """As far as anybody can tell."""
    assert is_gone(SOURCE, NAMES)
    assert not is_gone(ROUTE, NAMES)
    assert not is_gone(AIRFLOW, NAMES)
