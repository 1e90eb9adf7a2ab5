"""What needs a person that no delivery tells of."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import attention
from bridge.rules.signature import Key
from bridge.rules.troubles import of_certificate, of_files, of_keys, of_replicas, of_silences, of_targets
from bridge.words.errors import Problem
from bridge.words.notices import Failing
from bridge.words.replicas import LoadedMapping
from bridge.words.silences import Silence

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


@pytest.mark.parametrize(
    ("digests", "minutes", "is_said"),
    [
        ((), 60, False),
        (("a",), 60, False),
        (("a", "a"), 60, False),
        (("a", "b"), 5, True),
        (("a", "b"), 4.9, False),
        (("a", "a", "b"), 60, True),
    ],
)
def test_replicas_that_differ_need_a_person_after_five_minutes(
    digests: tuple[str, ...], minutes: float, is_said: bool
) -> None:
    """From the last change on; until then it is on its way to the others. Each replica is named with what it uses."""
    changed_at = NOW - timedelta(minutes=minutes)
    at = [NOW - timedelta(days=9)] * (len(digests) - 1) + [changed_at]
    found = [LoadedMapping(f"r{n}", f"pod-{n}", digest, at[n]) for n, digest in enumerate(digests)]
    needed = attention.needs(attention.Facts(NOW, troubles=list(of_replicas(found, NOW))))
    assert [(each.what, each.since) for each in needed] == [("mapping_differs", changed_at)] * is_said
    for need in needed:
        assert all(f"pod-{n} uses {digest}" in need.says for n, digest in enumerate(digests))
        assert attention.place(need.what, need.filter) == ("/routes", {})


def test_a_replica_that_restarts_hides_no_difference() -> None:
    """It loads its mapping anew, old or new; the change is as old as the first replica that has the newer one."""
    minutes = {"old": 600, "new": 60, "restarted": 1}
    for digests in (("a", "b", "b"), ("a", "b", "a")):
        loaded = zip(minutes.items(), digests, strict=True)
        found = [LoadedMapping(name, name, digest, NOW - timedelta(minutes=ago)) for (name, ago), digest in loaded]
        assert [each.since for each in of_replicas(found, NOW)] == [NOW - timedelta(minutes=60)]


def test_a_broken_mapping_says_what_is_in_use_instead() -> None:
    """The last good one; nothing at all, so everything waits; or nothing of one file, whose webhooks are `unrouted`."""
    sales, stock = Problem("map/sales.yaml", 3, 1, "unknown key"), Problem("map/stock.yaml", 1, 1, "not YAML")
    (kept,) = of_files([sales, stock], (), mapping_since=NOW)
    assert "a running bridge uses the last good one" in kept.next_step
    (lacking,) = of_files([sales, stock], (), is_lacking=True, unused=["map/sales.yaml", "map/stock.yaml"])
    assert "nor was one in use before, so every webhook is taken in and waits" in lacking.says
    assert "last good" not in lacking.says + lacking.next_step
    both = list(of_files([sales, stock, stock], (), unused=["map/stock.yaml"], mapping_since=NOW))
    assert [(each.what, each.about, each.since) for each in both] == [
        ("mapping_broken", "mapping", NOW),
        ("mapping_broken", "map/stock.yaml", NOW),
    ]
    assert both[0].says == f"the mapping cannot be used: {sales}"
    assert both[1].says.endswith(f"nothing of it is in use and its routes start nothing: {stock} (and 1 more)")
    assert "last good" not in both[1].says + both[1].next_step
    assert "`planasonix-bridge replay --state unrouted --since" in both[1].next_step


@pytest.mark.parametrize(("amount", "more"), [(1, ""), (2, " (and 1 more)"), (3, " (and 2 more)")])
def test_a_broken_file_shows_its_first_problem_and_counts_the_others(amount: int, more: str) -> None:
    """Of mapping and secrets alike."""
    problems = [Problem("a.yaml", line, 1, "unknown key") for line in range(1, amount + 1)]
    assert [each.says for each in of_files(problems, problems)] == [
        f"the mapping cannot be used: a.yaml:1:1: unknown key{more}",
        f"the secrets cannot be used: a.yaml:1:1: unknown key{more}",
    ]
    assert list(of_files([], [], is_lacking=True)) == []


def test_a_target_that_is_not_reached_is_said() -> None:
    """Since when, and why."""
    (found,) = of_targets([Failing("CHAT", NOW, "HTTP 404")])
    assert (found.what, found.about, found.since) == ("not_notified", "CHAT", NOW)
    assert found.says == "messages to CHAT are not sent: HTTP 404"


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [
        (1, "1s"),
        (59, "59s"),
        (60, "1m"),
        (61, "61s"),
        (90, "90s"),
        (5400, "90m"),
        (3599, "3599s"),
        (3600, "1h"),
        (3660, "61m"),
        (93_600, "26h"),
    ],
)
def test_a_silence_is_spelled_as_it_is_configured(seconds: int, spelled: str) -> None:
    """In the largest unit that fits without a rest."""
    silence = Silence("crm", timedelta(seconds=seconds), NOW - timedelta(days=9), None, NOW)
    (found,) = of_silences([silence], NOW)
    assert found.says == f"source crm has sent no webhook for more than {spelled}, nor ever before"


def test_a_key_that_ends_names_its_source() -> None:
    """Each of them has a line; what never ends has none."""
    ends = Key("old", b"x", not_after=NOW.timestamp() + 60)
    found = of_keys({"crm": [ends, Key("new", b"x")], "erp": [ends]}, NOW)
    assert [(each.about, each.says) for each in found] == [
        (f"{source} old", f"key old of source {source}: valid until 2025-03-27T03:01:00Z only")
        for source in ("crm", "erp")
    ]
