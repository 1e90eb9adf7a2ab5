"""What somebody who looks on hears: what is new, what became of it, and no more than they can read."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, browsing, replays, triggers
from bridge.edges.inbox.engine.ids import number
from bridge.edges.metrics import Metrics
from bridge.flows.tailing import LISTENERS, Following, Heard, Listener, Tail, Tailing
from bridge.web.stream import is_wanted
from bridge.words.errors import BadFilter, NotThere, TooMany
from bridge.words.model import TriggerState
from tests.support.store import Store, accept, add, attempt, claim, settlement, stored

NOW = datetime.now(UTC) - timedelta(seconds=1)


def link(airflow: str, dag_id: str, dag_run_id: str | None) -> str:
    """Return a page."""
    return f"http://{airflow}/{dag_id}/{dag_run_id}"


@pytest.fixture
def tail(inbox: Inbox) -> Tail:
    """Somebody who looks on from now on."""
    return Tail(inbox, link=link, since=NOW)


@pytest.fixture
def looking_on(inbox: Inbox, metrics: Metrics) -> Iterator[Tailing]:
    """What looks for several; its loop is not started."""
    tailing = Tailing(inbox=inbox, link=link, metrics=metrics, clock=lambda: NOW)
    yield tailing
    tailing.loop.stop(1)


def states(heard: Heard) -> list[tuple[str | None, str, list[str]]]:
    """Return event, state and the states of the triggers of each piece of news."""
    return [
        (each.seen.delivery.event_id, str(each.seen.delivery.state), [str(item.state) for item in each.seen.triggers])
        for each in heard.news
    ]


def test_each_change_is_said_once(inbox: Inbox, tail: Tail) -> None:
    """From the webhook to the DAG run; what has not moved is not said again, and what has ended is forgotten."""
    id_ = stored(inbox, "evt_1")
    assert states(tail.look()) == [("evt_1", "received", [])]
    assert tail.look() == Heard((), is_cut=False)
    add(inbox, id_, now=NOW)
    assert states(tail.look()) == [("evt_1", "routed", ["pending"])]
    (claimed,) = claim(inbox, now=datetime.now(UTC))
    assert states(tail.look()) == [("evt_1", "routed", ["firing"])]
    inbox.write(triggers.settle, claimed, settlement(TriggerState.FIRED, due_at=NOW), attempt())
    (news,) = tail.look().news
    assert b'"link":"http://default/load_orders/run-of-' in news.full
    stored(inbox, "evt_2")
    assert states(tail.look()) == [("evt_2", "received", [])]


def test_news_are_told_apart_by_the_status_of_the_event(inbox: Inbox, store: Store, tail: Tail) -> None:
    """As `tail --status` and the stream do; a delivery that routing has not read has none."""
    first, _ = (each.delivery_id for each in accept(inbox, "evt_1", "evt_2"))
    told = "INSERT INTO completions (delivery_id, source, kind, about_id, status, nth)"
    store.rows(f"{told} VALUES (?, 's', 'job', 'j', 'failed', 0)", number(first, "dlv"))
    news = tail.look().news
    heard = {
        status: [each.seen.delivery.event_id for each in news if is_wanted({"status": status})(each)]
        for status in ("failed", "succeeded")
    }
    assert heard == {"failed": ["evt_1"], "succeeded": []}
    with pytest.raises(BadFilter, match="no such status of an event: success"):
        is_wanted({"status": "success"})


def test_of_a_flood_the_newest_are_shown(inbox: Inbox, tail: Tail) -> None:
    """That some are left out is said; they are not said later."""
    accept(inbox, *[f"evt_{number}" for number in range(250)])
    heard = tail.look()
    assert (len(heard.news), heard.is_cut) == (200, True)
    assert tail.look() == Heard((), is_cut=False)
    ids = [each.seen.delivery.id for each in heard.news]
    assert ids == sorted(ids)


def test_who_comes_back_hears_what_was_missed(inbox: Inbox, looking_on: Tailing) -> None:
    """Everything after the last delivery that was heard of, or since an instant."""
    first, second = (each.delivery_id for each in accept(inbox, "evt_1", "evt_2"))
    assert states(looking_on.tail(after=first, since=None).look()) == [("evt_2", "received", [])]
    assert looking_on.tail(after=second, since=None).look().news == ()
    assert len(looking_on.tail(after=None, since=NOW).look().news) == 2
    with pytest.raises(NotThere):
        looking_on.tail(after="x", since=None)


def test_what_a_sender_wrote_is_for_operators(inbox: Inbox, store: Store, tail: Tail) -> None:
    """Details may quote a value."""
    stored(inbox)
    store.rows("UPDATE deliveries SET state = 'invalid', reason = 'fields', detail = 'secret value'")
    (news,) = tail.look().news
    assert b"secret value" in news.full
    assert b"secret value" not in news.bare


def test_a_deleted_delivery_is_forgotten(inbox: Inbox, store: Store, tail: Tail) -> None:
    """Retention, or a person, may have removed it."""
    stored(inbox)
    tail.look()
    store.rows("DELETE FROM deliveries")
    assert tail.look() == Heard((), is_cut=False)


def test_nothing_is_read_while_nobody_looks_on(inbox: Inbox, looking_on: Tailing) -> None:
    """And what came before somebody joined is not said."""
    inbox.close()  # whoever reads now fails
    assert looking_on.step() is None


def test_one_look_serves_everybody(inbox: Inbox, looking_on: Tailing) -> None:
    """Who has left hears nothing more; when the service stops, everybody is let go."""
    heard: list[tuple[str, Heard | None]] = []

    def listener(name: str) -> Listener:
        return Listener(lambda item: heard.append((name, item)), lambda: heard.append((name, None)))

    first, second = listener("first"), listener("second")
    looking_on.join(first)
    looking_on.join(second)
    stored(inbox)
    looking_on.step()
    assert [name for name, _ in heard] == ["first", "second"]
    looking_on.leave(first)
    looking_on.leave(first)
    stored(inbox, "evt_2")
    looking_on.step()
    looking_on.loop.stop(1)
    assert [(name, each is None) for name, each in heard[2:]] == [("second", False), ("second", True)]
    with pytest.raises(TooMany):
        looking_on.join(first)


def test_one_delivery_is_followed_whenever_it_came(inbox: Inbox) -> None:
    """First how it stands, however many came later; then each change, also after it has ended."""
    id_ = stored(inbox, "evt_old")
    accept(inbox, *[f"evt_{number}" for number in range(250)])
    following = Following(inbox, link=link, delivery_id=id_)
    assert states(following.begin()) == [("evt_old", "received", [])]
    assert following.look() == Heard((), is_cut=False)
    add(inbox, id_, now=NOW)
    (claimed,) = claim(inbox, now=datetime.now(UTC))
    inbox.write(triggers.settle, claimed, settlement(TriggerState.FAILED), attempt())
    assert states(following.look()) == [("evt_old", "routed", ["failed"])]
    again = {"actor": "test", "reason": None, "new_id": None, "now": NOW}
    inbox.write(replays.replay, claimed.trigger.id, **again)
    assert states(following.look()) == [("evt_old", "routed", ["pending"])]


def test_a_replay_that_fails_as_before_between_two_looks_is_heard(inbox: Inbox, store: Store) -> None:
    """By when it was settled, and by the id of a trigger that is another one."""
    id_ = stored(inbox, "evt_1")
    add(inbox, id_, now=NOW)
    (claimed,) = claim(inbox, now=datetime.now(UTC))
    inbox.write(triggers.settle, claimed, settlement(TriggerState.FAILED), attempt())
    following = Following(inbox, link=link, delivery_id=id_)
    following.begin()
    for column in ("settled_at", "id"):
        store.rows(f"UPDATE triggers SET {column} = {column} + 1")  # noqa: S608
        assert states(following.look()) == [("evt_1", "routed", ["failed"])]
        assert following.look() == Heard((), is_cut=False)


def test_a_delivery_that_is_not_there_cannot_be_followed(inbox: Inbox, store: Store) -> None:
    """It is said at once; one that is removed later is only quiet."""
    with pytest.raises(NotThere):
        Following(inbox, link=link, delivery_id="x")
    with pytest.raises(NotThere, match="no delivery dlv_0000000000000001"):
        Following(inbox, link=link, delivery_id="dlv_0000000000000001").begin()
    following = Following(inbox, link=link, delivery_id=stored(inbox))
    following.begin()
    store.rows("DELETE FROM deliveries")
    assert following.look() == Heard((), is_cut=False)


def test_who_follows_one_delivery_hears_of_no_other(inbox: Inbox, looking_on: Tailing) -> None:
    """And whoever hears of all is told as ever."""
    heard: list[tuple[str, list[str | None]]] = []

    def listener(name: str, following: Following | None = None) -> Listener:
        return Listener(
            lambda item: heard.append((name, [each.seen.delivery.event_id for each in item.news])),
            lambda: None,
            following,
        )

    id_ = stored(inbox, "evt_1")
    looking_on.join(listener("one", looking_on.following(id_)))
    looking_on.step()
    assert heard == [("one", ["evt_1"])]
    looking_on.join(listener("all"))
    stored(inbox, "evt_2")
    looking_on.step()
    assert heard[1:] == [("all", ["evt_1", "evt_2"])]  # both came after the moment at which this clock stands


def test_a_stream_of_one_delivery_has_no_beginning(inbox: Inbox, tail: Tail) -> None:
    """It is the filter of its id; from when on is no question then."""
    first, _ = (each.delivery_id for each in accept(inbox, "evt_1", "evt_2"))
    wanted = is_wanted({"delivery_id": first})
    assert [each.seen.delivery.event_id for each in tail.look().news if wanted(each)] == ["evt_1"]
    for name, value in (("since", "1h"), ("after", first)):
        with pytest.raises(BadFilter, match="leave since and after out"):
            is_wanted({"delivery_id": first, name: value})


def test_listeners_are_few(looking_on: Tailing) -> None:
    """Who is one too many is refused; who leaves makes room."""
    everybody = [Listener(lambda _: None, lambda: None) for _ in range(LISTENERS)]
    for each in everybody:
        looking_on.join(each)
    with pytest.raises(TooMany):
        looking_on.join(Listener(lambda _: None, lambda: None))
    looking_on.leave(everybody[0])
    looking_on.join(Listener(lambda _: None, lambda: None))


def test_open_ones_are_bounded(inbox: Inbox, tail: Tail) -> None:
    """The newest 500 that are open are looked at; a change of an older one is not said."""
    for round_ in range(3):
        accept(inbox, *[f"evt_{round_}_{number}" for number in range(199)])
        tail.look()
    everything = inbox.read(browsing.ids, table="deliveries", wanted=browsing.Filter(), limit=1000)
    add(inbox, everything[-1], now=NOW)
    add(inbox, everything[0], now=NOW)
    assert [each.seen.delivery.id for each in tail.look().news] == [everything[0]]
