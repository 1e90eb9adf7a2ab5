"""What the Planasonix API says of subscriptions: whichever of its pages is right, the same is read."""

from typing import Any

import pytest

from bridge.rules import subscribing

ONE: dict[str, Any] = {
    "id": "wh_1",
    "url": "https://hooks.example.com/hooks/planasonix",
    "events": ["job.completed"],
    "enabled": True,
    "signing_secret": "whsec_1",
    "created_at": "2026-01-01T00:00:00Z",
    "last_delivery_at": "2026-01-02T00:00:00Z",
    "failure_count_24h": 3,
}
CAMEL = {"createdAt": ONE["created_at"], "lastDeliveryAt": ONE["last_delivery_at"], "failureCount24h": 3}
IN_CAMEL = {name: ONE[name] for name in ("id", "url", "events", "enabled")} | CAMEL | {"signingSecret": "whsec_1"}


@pytest.mark.parametrize("value", [ONE, {"data": ONE}, {"data": {"webhook": ONE}}, IN_CAMEL, {"data": IN_CAMEL}])
def test_a_subscription_is_read_in_every_spelling(value: Any) -> None:
    """Wrapped or flat, in snake_case or camelCase."""
    found = subscribing.subscription(value)
    assert (found.id, found.url, found.events, found.is_enabled) == ("wh_1", ONE["url"], ("job.completed",), True)
    assert (found.failures, found.secret and found.secret.reveal()) == (3, "whsec_1")
    assert found.last_delivery_at is not None
    assert found.last_delivery_at.isoformat() == "2026-01-02T00:00:00+00:00"
    assert "whsec_1" not in repr(found)
    assert subscribing.is_subscription(value)


def test_what_the_api_does_not_say_is_unknown() -> None:
    """Never a zero, and never a mistake: only id and URL are needed."""
    found = subscribing.subscription({"id": "wh_1", "url": "https://x", "last_delivery_at": "soon", "enabled": "yes"})
    assert (found.failures, found.last_delivery_at, found.is_enabled, found.events) == (None, None, None, ())


@pytest.mark.parametrize(("count", "failures"), [(0, 0), (7, 7), ("7", None), (True, None), (1.5, None), (None, None)])
def test_only_a_whole_number_counts_failures(count: Any, failures: int | None) -> None:
    """Anything else is unknown."""
    assert subscribing.subscription(ONE | {"failure_count_24h": count}).failures == failures


@pytest.mark.parametrize(
    "value", [None, [], {}, {"id": "wh_1"}, {"url": "x"}, {"data": []}, {"id": 1, "url": "x"}, {"id": "", "url": "x"}]
)
def test_no_subscription_is_a_mistake(value: Any) -> None:
    """What has no id cannot be changed or removed."""
    assert not subscribing.is_subscription(value)
    with pytest.raises(ValueError, match="no subscription"):
        subscribing.subscription(value)


@pytest.mark.parametrize("value", [[ONE], {"data": [ONE]}, {"webhooks": [ONE, "x"]}, {"items": [ONE]}])
def test_a_list_is_read_however_it_is_wrapped(value: Any) -> None:
    """And what is no object in it is left out."""
    assert subscribing.rows(value) == [ONE]


@pytest.mark.parametrize("value", [None, "x", {}, {"data": {}}])
def test_no_list_is_a_mistake(value: Any) -> None:
    """An empty list would be a verdict: that nothing is subscribed."""
    with pytest.raises(ValueError, match="no list"):
        subscribing.rows(value)


@pytest.mark.parametrize(
    ("value", "cursor"),
    [
        ([], None),
        ({"next_cursor": "b"}, "b"),
        ({"nextCursor": "b"}, "b"),
        ({"meta": {"next_cursor": "b"}}, "b"),
        ({"next_cursor": None}, None),
        ({"next_cursor": ""}, None),
    ],
)
def test_the_next_page_is_found(value: Any, cursor: str | None) -> None:
    """Where the API's other lists have it."""
    assert subscribing.next_cursor(value) == cursor


@pytest.mark.parametrize(
    ("events", "is_mixed"),
    [
        (["job.completed", "job.failed"], False),
        (["pipeline.run.succeeded"], False),
        (["job.completed", "pipeline.run.succeeded"], True),
        (["*"], True),
        ([], False),
    ],
)
def test_a_subscription_to_jobs_and_runs_tells_twice_of_each_load(events: list[str], is_mixed: bool) -> None:
    """Two kinds are two completions, so a route without `event:` would run twice."""
    assert subscribing.mixes_kinds(events) is is_mixed
