"""A source that has sent nothing for longer than it may needs a person, whichever replica looks, until it sends."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from bridge.chores.silences import Silences
from bridge.edges.inbox import Inbox
from bridge.edges.inbox.engine.ids import first_id
from bridge.edges.inbox.rows import microseconds
from bridge.edges.metrics import Metrics
from bridge.flows import attending
from bridge.words.via import RECONCILED_KEY
from tests.support.store import Store, accept

NOW = datetime.now(UTC).replace(microsecond=0)  # ids have milliseconds
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
_STEP = timedelta(minutes=4)
Make = Callable[..., "Replica"]


class Replica:
    """One process that looks. Its clock is the test's."""

    def __init__(self, url: str, **expected: float) -> None:
        self.inbox, self.now = Inbox(url), NOW
        self.metrics = Metrics(keys_by_source={"planasonix": ["current"], "crm": ["current"]}, airflows=["default"])
        self.chore = Silences(inbox=self.inbox, expected=expected, metrics=self.metrics, clock=lambda: self.now)

    def look(self, later: timedelta = timedelta(), *, after_a_gap: bool = False) -> list[str]:
        """Look all the time until so long after the test began, or once then; return the sources that the log names."""
        with capture_logs() as logs:
            while not after_a_gap and self.now + _STEP < NOW + later:
                self.now += _STEP
                self.chore.look()
            self.now = NOW + later
            self.chore.look()
        return [line["source"] for line in logs if line["event"] == "source_silent"]

    def needs(self, later: timedelta) -> list[tuple[str, datetime | None]]:
        """Return the silent sources that need a person at a time, and since when."""
        found = attending.needs(self.inbox, now=NOW + later)
        return [(need.about, need.since) for need in found if need.what == "source_silent"]

    def is_silent(self, source: str) -> bool:
        """Tell what the metric says."""
        return f'bridge_source_silent{{source="{source}"}} 1.0' in self.metrics.exposition().decode()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The database that the replicas share."""
    one = Store(url)
    yield one
    one.close()


@pytest.fixture
def make(url: str) -> Iterator[Make]:
    """Start a replica: `make(planasonix=86400)`."""
    made: list[Replica] = []

    def start(**expected: float) -> Replica:
        made.append(Replica(url, **expected))
        return made[-1]

    yield start
    for each in made:
        each.inbox.close()


def _age(store: Store, span: timedelta) -> None:
    """Let the newest delivery be so much older than `NOW`: its id holds when it was received."""
    (row,) = store.rows("SELECT id FROM deliveries ORDER BY id DESC LIMIT 1")
    store.rows("UPDATE deliveries SET id = ? WHERE id = ?", first_id(microseconds(NOW - span)), row[0])


def test_it_is_silent_after_so_long_and_no_longer_with_the_next_webhook(make: Make, store: Store) -> None:
    """The log says it once; the store has it, so a restart and another replica say the same, with the same instant."""
    one = make(planasonix=DAY.total_seconds())
    accept(one.inbox, "evt_1")
    _age(store, DAY - HOUR)
    assert (one.look(), one.needs(timedelta()), one.is_silent("planasonix")) == ([], [], False)
    assert one.look(2 * HOUR) == ["planasonix"]
    assert one.look(3 * HOUR) == []
    other = make(planasonix=DAY.total_seconds())
    assert other.look(3 * HOUR) == ["planasonix"]
    ((about, since),) = one.needs(3 * HOUR)
    assert other.needs(3 * HOUR) == [(about, since)]
    assert since == NOW - (DAY - HOUR)
    assert one.is_silent("planasonix")
    accept(one.inbox, "evt_2")
    one.look()
    assert (one.needs(timedelta(minutes=1)), one.is_silent("planasonix")) == ([], False)


def test_one_that_was_never_heard_counts_from_when_it_was_first_expected(make: Make) -> None:
    """Also after a restart; a shorter `silent_after` counts from the same instant."""
    make(planasonix=DAY.total_seconds()).look()
    again = make(planasonix=HOUR.total_seconds())
    assert again.look(2 * HOUR) == ["planasonix"]
    assert again.needs(2 * HOUR) == [("planasonix", NOW)]


def test_the_time_without_a_bridge_does_not_count(make: Make, store: Store) -> None:
    """Nobody could be sent anything; so the source has all of its time from the first look after it."""
    one = make(planasonix=HOUR.total_seconds())
    accept(one.inbox, "evt_1")
    one.look()
    another = make(planasonix=HOUR.total_seconds())
    assert (another.look(3 * HOUR, after_a_gap=True), another.needs(3 * HOUR)) == ([], [])
    assert one.look(3 * HOUR, after_a_gap=True) == []  # it agrees
    assert another.look(4 * HOUR) == []
    assert another.look(5 * HOUR) == ["planasonix"]
    assert another.needs(5 * HOUR) == [("planasonix", NOW + 3 * HOUR)]


def test_others_and_what_the_bridge_asked_for_are_no_sign_of_life(make: Make) -> None:
    """Only a webhook of this very source is."""
    one = make(planasonix=HOUR.total_seconds())
    one.look(-2 * HOUR)
    accept(one.inbox, "evt_1", source="crm")
    accept(one.inbox, "evt_2", key_id=RECONCILED_KEY)
    assert one.look() == ["planasonix"]
    accept(one.inbox, "evt_3")
    one.look()
    assert one.needs(timedelta(minutes=1)) == []


def test_what_was_pruned_is_not_forgotten(make: Make, store: Store) -> None:
    """Retention removes the last webhook; when it came is known all the same."""
    one = make(planasonix=DAY.total_seconds())
    accept(one.inbox, "evt_1")
    one.look()
    before = one.needs(2 * DAY)
    store.rows("DELETE FROM deliveries")
    one.look(2 * DAY)
    assert one.needs(2 * DAY) == before
    assert len(before) == 1


def test_a_late_commit_is_found(make: Make, store: Store) -> None:
    """A delivery may be committed after a look that began later than its receipt."""
    one = make(planasonix=HOUR.total_seconds())
    one.look(-HOUR)
    one.look(timedelta(minutes=1))
    accept(one.inbox, "evt_1")
    one.look(timedelta(minutes=1))
    ((_, since),) = one.needs(3 * HOUR)
    assert since is not None
    assert abs(since - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_source_without_the_setting_is_never_silent(make: Make) -> None:
    """Nor is one any more whose setting was taken away."""
    make(planasonix=HOUR.total_seconds()).look()
    one = make()
    assert len(one.needs(3 * DAY)) == 1
    one.look(3 * DAY)
    assert one.needs(3 * DAY) == []
    assert not one.is_silent("crm")
