"""Key sets stay fresh: when they are fetched, what stays when that fails, and who may ask for it."""

import io
import json
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from bridge.chores.key_sets import EVERY_SECONDS, FetchedSet, KeySets
from bridge.edges import logs
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.flows.receiving import Receiving
from bridge.rules.signature import PRESETS, JwtVerifier, Key, read_set
from bridge.rules.sources import Source
from bridge.words.errors import KeysUnavailable, KeyUnknown, Refused
from bridge.words.targets import JwksUrl
from tests.support.jobs_api import body, received
from tests.support.jwks_server import JwksServer, Pair
from tests.support.service import wait_for

OLD, NEW = Pair.make("old"), Pair.make("new")
NOW = 1_785_000_000
BODY = body("evt_1")


@pytest.fixture
def provider() -> Iterator[JwksServer]:
    """A provider that publishes one key."""
    with JwksServer() as server:
        server.publishes(OLD)
        yield server


def key_of(provider: JwksServer, name: str = "current") -> Key:
    """Return the entry of bridge.yaml that names the provider."""
    return Key(name, jwks=JwksUrl(provider.url), algorithm="RS256")


def verifier_of(provider: JwksServer) -> JwtVerifier:
    """Return the check of a source with this one entry."""
    return JwtVerifier(PRESETS["jwt"], [key_of(provider)], past_seconds=300, future_seconds=60)


def opens(verifier: JwtVerifier, pair: Pair) -> bool:
    """Whether a token of this pair verifies."""
    try:
        verifier.verify(headers(pair), BODY, NOW)
    except KeyUnknown:
        return False
    return True


def headers(pair: Pair, **header: object) -> list[tuple[bytes, bytes]]:
    """Sign a webhook, as ASGI gives its headers."""
    return [(name.lower().encode(), it.encode()) for name, it in pair.headers(BODY, NOW, **header).items()]


def threads() -> list[str]:
    """Return the threads that fetch."""
    return [item.name for item in threading.enumerate() if item.name == "key_sets"]


def start(key_sets: KeySets) -> None:
    """Begin to fetch every set."""
    for loop in key_sets.loops:
        loop.start()


def stop(key_sets: KeySets) -> None:
    """End all of them."""
    for loop in key_sets.loops:
        loop.stop(5)


class Fetched:
    """One entry's set with a clock that is set by hand, fetched by nobody but the test."""

    def __init__(self, provider: JwksServer, metrics: Metrics) -> None:
        """Nothing is fetched yet."""
        self.now = 0.0
        self.verifier = verifier_of(provider)
        metrics.expect_key_set("planasonix", "current")
        self.set = FetchedSet("planasonix", key_of(provider), self.verifier, metrics=metrics, clock=lambda: self.now)


@pytest.fixture
def fetched(provider: JwksServer, metrics: Metrics) -> Fetched:
    """A set that can be had."""
    return Fetched(provider, metrics)


def counted(metrics: Metrics, outcome: str) -> float:
    """Return how many fetches ended so."""
    sample = f'bridge_jwks_refreshes_total{{key="current",outcome="{outcome}",source="planasonix"}} '
    return next(float(line[len(sample) :]) for line in metrics.exposition().decode().splitlines() if sample in line)


def test_strangers_cause_at_most_one_fetch_a_minute(fetched: Fetched, provider: JwksServer) -> None:
    """Ten tokens of unknown keys every second for an hour: sixty fetches, and 401 in between."""
    fetched.set.refresh()
    expected = 0
    for second in range(3600):
        fetched.now = float(second)
        asked = [fetched.set.is_expected() for _ in range(10)]
        assert len(set(asked)) == 1
        if asked[0]:
            expected += 1
            fetched.set.refresh()
    assert (expected, provider.fetches) == (60, 61)


def test_a_fetch_under_way_answers_for_everyone(fetched: Fetched) -> None:
    """From the question to the end of the fetch: wait; right after it: no."""
    fetched.set.refresh()
    assert [fetched.set.is_expected() for _ in range(3)] == [True] * 3
    fetched.set.refresh()
    assert not fetched.set.is_expected()
    fetched.now = 59.9
    assert not fetched.set.is_expected()
    fetched.now = 60.0
    assert fetched.set.is_expected()


def test_before_the_first_set_everything_waits_and_nobody_hurries_it(fetched: Fetched, provider: JwksServer) -> None:
    """Down at the start: tries after 1, 2, 4, 8 and then every 15 seconds, whoever asks; then an hour."""
    provider.status = 500
    pauses = [fetched.set.refresh() for _ in range(6)]
    for pause, limit in zip(pauses, (1, 2, 4, 8, 15, 15), strict=True):
        assert 0.9 * limit <= pause <= limit
    assert fetched.set.is_expected()
    provider.status = 200
    assert 0.9 * EVERY_SECONDS <= fetched.set.refresh() <= EVERY_SECONDS
    # Who waited for it has not used up the fetch of somebody who meets a rotation now.
    assert fetched.set.is_expected()


@pytest.mark.parametrize(
    "document", [b"", b"<html>", b'{"keys": []}', b'{"keys": [{"kty": "oct", "kid": "x", "k": "AAAA"}]}', b" " * 65_537]
)
def test_what_is_no_usable_set_keeps_the_last_good_one(
    fetched: Fetched, provider: JwksServer, metrics: Metrics, document: bytes
) -> None:
    """Told as failed, tried again within a minute; unknown keys wait, since nobody can know."""
    fetched.set.refresh()
    provider.document = document
    assert 54 <= fetched.set.refresh() <= 60
    assert opens(fetched.verifier, OLD)
    assert fetched.set.is_expected()
    fetched.set.refresh()
    assert fetched.set.is_expected()
    assert (counted(metrics, "loaded"), counted(metrics, "failed")) == (1, 2)


def test_a_removed_key_opens_nothing_after_the_next_fetch(fetched: Fetched, provider: JwksServer) -> None:
    """And another body under the same kid counts from then on, too."""
    fetched.set.refresh()
    provider.publishes(Pair("old", NEW.private), NEW)
    fetched.set.refresh()
    assert opens(fetched.verifier, NEW)
    with pytest.raises(Refused):
        fetched.verifier.verify(headers(OLD), BODY, NOW)
    assert opens(fetched.verifier, Pair("old", NEW.private))


@pytest.mark.usefixtures("standard_logging")
def test_it_is_told_once_per_change(fetched: Fetched, provider: JwksServer) -> None:
    """Loaded, the same again, down, still down, another trouble, back, rotated: five lines, and no kid in any."""
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    fetched.set.refresh()
    fetched.set.refresh()
    provider.status = 500
    fetched.set.refresh()
    fetched.set.refresh()
    provider.status = 404
    fetched.set.refresh()
    provider.status = 200
    fetched.set.refresh()
    provider.publishes(OLD, NEW, OLD.jwk(kid="canary", use="enc"))
    fetched.set.refresh()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [(line["event"], line.get("keys"), line.get("detail")) for line in lines]
    assert told == [
        ("jwks_loaded", 1, None),
        ("jwks_failed", None, "the URL answers 500"),
        ("jwks_failed", None, "the URL answers 404"),
        ("jwks_loaded", 1, None),
        ("jwks_loaded", 2, None),
    ]
    assert {line["meanwhile"] for line in lines if "meanwhile" in line} == {"the last good keys stay in use"}
    assert "canary" not in stream.getvalue()


def test_verifiers_built_anew_have_the_set_at_once(provider: JwksServer, metrics: Metrics) -> None:
    """And they get what is fetched from then on; no thread more, no fetch more."""
    wait_for(lambda: threads() == [], seconds=5, what="the threads of the tests before ended")
    first, second = verifier_of(provider), verifier_of(provider)
    metrics.expect_key_set("planasonix", "current")
    fetching = KeySets(verifiers={"planasonix": first}, metrics=metrics)
    start(fetching)
    try:
        fetching.wait(60)
        assert opens(first, OLD)
        fetching.take_over({"planasonix": second})
        assert opens(second, OLD)
        assert (provider.fetches, threads()) == (1, ["key_sets"])
        provider.publishes(NEW)
        assert fetching.is_expected("planasonix", ["current"])
        wait_for(lambda: opens(second, NEW), seconds=5, what="the new key")
        assert not opens(first, NEW)
        assert provider.fetches == 2
    finally:
        stop(fetching)
    wait_for(lambda: threads() == [], seconds=5, what="the thread has ended")


def test_stop_does_not_wait_for_a_provider_that_hangs(provider: JwksServer, metrics: Metrics) -> None:
    """Nor does the start, beyond what it was told to."""
    provider.pause_seconds = 8
    fetching = KeySets(verifiers={"planasonix": verifier_of(provider)}, metrics=metrics)
    start(fetching)
    fetching.wait(0.2)
    wait_for(lambda: provider.fetches == 1, seconds=60, what="a fetch under way")
    stop(fetching)
    assert threads() == ["key_sets"]  # the fetch is still under way
    wait_for(lambda: threads() == [], seconds=10, what="the fetch under way ends, and its thread with it")


def test_an_error_of_our_own_does_not_end_the_thread(metrics: Metrics, provider: JwksServer) -> None:
    """It is counted, and the entry goes on to be fetched."""
    broken = Key("current", jwks=JwksUrl(provider.url))  # no algorithm: bridge.yaml cannot say that
    fetched = FetchedSet("planasonix", broken, verifier_of(provider), metrics=metrics, clock=time.monotonic)
    fetched.loop.start()
    assert fetched.tried.wait(60)
    assert fetched.is_expected()
    fetched.loop.stop(5)
    assert 'bridge_internal_errors_total{part="key_sets"} 1.0' in metrics.exposition().decode()


class Door:
    """Receiving, with what it asks about key sets under the test's hand."""

    def __init__(self, inbox: Inbox, metrics: Metrics, verifier: JwtVerifier) -> None:
        """Nobody expects anything."""
        self.is_expected = False
        self.asked: list[tuple[str, Sequence[str]]] = []
        self.verifier = verifier
        self.newer: Pair | None = None
        self.receiving = Receiving(
            sources={"planasonix": Source("planasonix", verifier)},
            inbox=inbox,
            metrics=metrics,
            on_accepted=lambda: None,
            is_expected=self._is_expected,
            clock=lambda: NOW,
        )

    def _is_expected(self, source: str, keys: Sequence[str]) -> bool:
        self.asked.append((source, keys))
        if self.newer is not None:
            self.verifier.take_over("current", read_set(json.dumps({"keys": [self.newer.jwk()]}).encode(), "RS256"))
        return self.is_expected

    def post(self, pair: Pair) -> str:
        """Send one webhook and return what becomes of it."""
        try:
            return received(self.receiving, headers(pair), BODY).status
        except (KeysUnavailable, Refused) as refused:
            return str(refused.reason)


@pytest.fixture
def door(inbox: Inbox, metrics: Metrics, provider: JwksServer) -> Door:
    """A source whose set holds one key."""
    item = Door(inbox, metrics, verifier_of(provider))
    item.verifier.take_over("current", read_set(provider.document, "RS256"))
    return item


def test_an_unknown_key_waits_only_while_it_may_come(door: Door, metrics: Metrics) -> None:
    """503 while it is expected, 401 when it is not; a key that is known asks nobody."""
    assert door.post(OLD) == "accepted"
    assert door.asked == []
    door.is_expected = True
    assert door.post(NEW) == "keys_unavailable"
    door.is_expected = False
    assert door.post(NEW) == "signature_mismatch"
    assert door.asked == [("planasonix", ("current",))] * 2
    text = metrics.exposition().decode()
    assert 'bridge_refusals_total{reason="keys_unavailable",source="planasonix"} 1.0' in text
    assert 'bridge_refusals_total{reason="signature_mismatch",source="planasonix"} 1.0' in text


def test_a_set_that_comes_between_the_two_questions_is_used(door: Door) -> None:
    """The fetch ends after the token was judged and before it is asked whether one is under way: no 401."""
    door.newer = NEW
    assert door.post(NEW) == "accepted"
