"""`defaults` of the mapping: each key holds for every route that does not say otherwise, and for no other.

The table has a row for each key that the form knows, so a new key without one fails.
"""

from collections.abc import Callable
from typing import Any

import pytest

from bridge.rules.mapping import DeliveryContext, Route, read
from bridge.rules.mapping.schema import DefaultsForm
from bridge.words.model import Call, Event, Status

_EVENT = Event(id="evt_1", status=Status.SUCCEEDED, pipeline_id="pl_1", environment="production", job_id="job_1")
_DELIVERY = DeliveryContext(id="dlv_1", received_at="2025-03-27T14:26:20Z", source="planasonix", hops=0)


def _route(defaults: str, route: str) -> Route:
    text = f"defaults: {{{defaults}}}\nroutes:\n  - {{dag: d1, {route}}}\n"
    (found,) = read(text, file="m.yaml", airflows=["default", "eu"], sources=["planasonix", "other"]).routes
    return found


def _call(route: Route) -> Call:
    return route.call("d1", _EVENT, delivery=_DELIVERY, trigger_id="trg_1")


def _matches(route: Route) -> bool:
    facts: dict[str, str | None] = {
        "source": "planasonix",
        "event": None,
        "pipeline": "pl_1",
        "pipeline_name": None,
        "connection": None,
        "environment": "production",
        "on": "succeeded",
    }
    return route.judge(facts, lambda _: {}).matches


# key: (what the defaults say, what another route says, how to see it, what is seen of each, and of neither)
_ROWS: dict[str, tuple[str, str, Callable[[Route], Any], Any, Any, Any]] = {
    "source": ("other", "planasonix", _matches, False, True, True),
    "environment": ("staging", "production", _matches, False, True, True),
    "on": ("failed", "succeeded", _matches, False, True, True),
    "airflow": ("eu", "default", lambda route: route.airflow, "eu", "default", "default"),
    "conf": (
        "{a: 1, b: 2}",
        "{b: 3}",
        lambda route: {key: value for key, value in _call(route).conf.items() if key != "planasonix"},
        {"a": 1, "b": 2},
        {"a": 1, "b": 3},
        {},
    ),
    "note": (
        "'{{ event.job_id }} here'",
        "own",
        lambda route: _call(route).note,
        "job_1 here",
        "own",
        None,
    ),
    "enabled": ("false", "true", _matches, False, True, True),
    "max_age": ("2h", "90s", lambda route: _call(route).limits.max_age_seconds, 7200.0, 90.0, 86_400.0),
    "max_attempts": ("7", "9", lambda route: _call(route).limits.max_attempts, 7, 9, None),
    "concurrency": ("2", "3", lambda route: _call(route).limits.concurrency, 2, 3, None),
    "follow": ("false", "true", lambda route: _call(route).follow, False, True, True),
    "deadline": ("2h", "5", lambda route: _call(route).limits.deadline_seconds, 7200, 5, None),
    "if_paused": ("hold", "fail", lambda route: _call(route).if_paused, "hold", "fail", "trigger"),
    "release": ("latest", "all", lambda route: _call(route).series is not None, True, False, False),
    "hold_at_most": ("2h", "5d", lambda route: _call(route).limits.hold_seconds, 7200, 5 * 86_400, 14 * 86_400),
    "conf_schema": ("dag", "any", lambda route: route.holds_to_params, True, False, False),
    "max_per_hour": ("60", "5", lambda route: _call(route).limits.max_per_hour, 60, 5, None),
}


def test_every_key_of_the_defaults_has_a_row() -> None:
    """What no test looks at could be ignored without anybody noticing."""
    assert set(_ROWS) == set(DefaultsForm.model_fields)


@pytest.mark.parametrize("key", _ROWS)
def test_a_default_holds_for_a_route_that_does_not_say_otherwise(key: str) -> None:
    """The route behaves as if it said the default itself."""
    default, _, seen, expected, _, without = _ROWS[key]

    assert seen(_route(f"{key}: {default}", "name: r")) == expected
    assert seen(_route("", f"{key}: {default}")) == expected
    assert seen(_route("", "name: r")) == without


@pytest.mark.parametrize("key", _ROWS)
def test_a_route_overrides_the_default(key: str) -> None:
    """Its own word counts; conf is merged key by key."""
    default, own, seen, _, expected, _ = _ROWS[key]

    assert seen(_route(f"{key}: {default}", f"{key}: {own}")) == expected
