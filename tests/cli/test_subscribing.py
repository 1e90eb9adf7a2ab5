"""urls, subscribe, subscriptions, unsubscribe: against an API on loopback, and no secret on any terminal."""

import json
import re
import stat
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Ended, Place
from tests.support.service import SECRET
from tests.support.subscriptions_api import KEY, SubscriptionsApi

BASE = "https://hooks.example.com"
HOOK = f"{BASE}/hooks/planasonix"


@pytest.fixture
def planasonix() -> Iterator[SubscriptionsApi]:
    """A tenant without a subscription."""
    with SubscriptionsApi() as api:
        yield api


@pytest.fixture
def bare(place: Place, planasonix: SubscriptionsApi) -> Place:
    """A configuration before the first webhook: the API's key is there, the webhook's secret is not."""
    text = (place.folder / "bridge.yaml").read_text()
    api = f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}\n"
    text = text.replace("env: PLANASONIX_WEBHOOK_SECRET", "file: secret").replace("airflow:\n", f"{api}airflow:\n", 1)
    (place.folder / "bridge.yaml").write_text(text)
    place.variables["PLANASONIX_API_KEY"] = KEY
    return place


def subscribe(place: Place, *words: str) -> Ended:
    """Run it; whatever it says, it says no secret."""
    ended = place.here("subscribe", "--url", BASE, *words)
    assert "whsec" not in ended.out + ended.err
    return ended


# --- urls --------------------------------------------------------------------------------------------


def test_urls_names_one_for_each_source_and_pipeline_of_the_mapping(place: Place) -> None:
    """What is a glob names no URL; no secret is needed."""
    mapping = "routes: [{pipeline: pl_b, dag: x}, {pipeline: [pl_a, pl_b], dag: y}, {pipeline: pl_*, dag: z}]"
    (place.folder / "mapping.yaml").write_text(mapping)
    ended = place.here("urls", "--base", BASE + "/", "--json", PLANASONIX_WEBHOOK_SECRET=None)
    assert (ended.code, ended.err) == (0, "")
    assert [(row["pipeline"], row["url"]) for row in ended.json] == [
        (None, HOOK),
        ("pl_a", f"{HOOK}/pl_a"),
        ("pl_b", f"{HOOK}/pl_b"),
    ]


def test_urls_leaves_out_what_a_route_is_not_for(place: Place) -> None:
    """A route of another source, and one that is switched off."""
    mapping = "routes: [{source: planasonix, pipeline: pl_a, dag: x}, {pipeline: pl_b, dag: y, enabled: false}]"
    (place.folder / "mapping.yaml").write_text(mapping)
    text = (place.folder / "bridge.yaml").read_text()
    other = "  other: {signature: {preset: planasonix, secrets: [{id: a, env: OTHER}]}}\nairflow:\n"
    (place.folder / "bridge.yaml").write_text(text.replace("airflow:\n", other, 1))
    ended = place.here("urls", "--base", BASE)
    assert ended.code == 0
    assert f"{HOOK}/pl_a" in ended.out
    assert f"{BASE}/hooks/other" in ended.out
    assert "other/pl_a" not in ended.out
    assert "pl_b" not in ended.out


@pytest.mark.parametrize("base", ["hooks.example.com", "https://a.example/?x", "https://u:p@a.example"])
def test_urls_refuses_what_is_no_base(place: Place, base: str) -> None:
    """Wrong usage, in one line."""
    assert place.here("urls", "--base", base).code == 2


def test_urls_warns_of_http(place: Place) -> None:
    """Planasonix delivers over TLS only."""
    assert "https" in place.here("urls", "--base", "http://hooks.example.com").err


# --- subscribe ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_wrapped", [False, True])
@pytest.mark.parametrize("is_camel", [False, True])
def test_subscribe_makes_the_bare_configuration_whole(
    bare: Place, planasonix: SubscriptionsApi, is_wrapped: bool, is_camel: bool
) -> None:
    """The secret is in a file that only its owner reads, and `check` finds nothing missing."""
    planasonix.is_wrapped, planasonix.is_camel = is_wrapped, is_camel
    assert bare.here("check").code != 0
    ended = subscribe(bare, "--secret-out", "secret", "--events", "job.succeeded, job.failed", "--events", "x.y")
    assert (ended.code, ended.out.split()[0]) == (0, "created")
    (kept,) = planasonix.kept.values()
    assert (kept.url, kept.events) == (HOOK, ["job.succeeded", "job.failed", "x.y"])
    path = bare.folder / "secret"
    assert path.read_text() == kept.secret + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bare.here("check").code == 0


def test_subscribe_writes_a_secret_for_kubernetes(bare: Place, planasonix: SubscriptionsApi) -> None:
    """A manifest that kubectl applies, instead of the secret alone."""
    words = ("--secret-out", "s.yaml", "--kubernetes-secret", "planasonix-bridge/webhook-secret")
    assert subscribe(bare, *words).code == 0
    found = json.loads((bare.folder / "s.yaml").read_text())
    (kept,) = planasonix.kept.values()
    assert (found["kind"], found["metadata"]["name"]) == ("Secret", "planasonix-bridge")
    assert found["stringData"] == {"webhook-secret": kept.secret}
    assert stat.S_IMODE((bare.folder / "s.yaml").stat().st_mode) == 0o600


def test_subscribe_never_writes_over_a_file(bare: Place, planasonix: SubscriptionsApi) -> None:
    """And finds that out before anything is made; `--force` says that it may."""
    (bare.folder / "secret").write_text(SECRET)
    ended = subscribe(bare, "--secret-out", "secret")
    assert (ended.code, planasonix.asked) == (2, [])
    assert "--force" in ended.err
    assert (bare.folder / "secret").read_text() == SECRET
    assert subscribe(bare, "--secret-out", "secret", "--force").code == 0
    assert (bare.folder / "secret").read_text() != SECRET
    assert [path.name for path in bare.folder.glob(".secret*")] == []


@pytest.mark.parametrize("words", [(), ("--secret-out", "nowhere/secret")])
def test_subscribe_makes_nothing_when_the_secret_would_be_lost(
    bare: Place, planasonix: SubscriptionsApi, words: tuple[str, ...]
) -> None:
    """It is shown once: without a place for it there is no subscription."""
    assert subscribe(bare, *words).code == 2
    assert planasonix.kept == {}


def test_a_folder_that_is_not_there_is_named_with_the_command_that_makes_it(
    bare: Place, planasonix: SubscriptionsApi
) -> None:
    """Nothing was asked of Planasonix; the command makes the folder, and then the secret is written."""
    ended = subscribe(bare, "--secret-out", "config/secrets/new ones/planasonix")
    assert (ended.code, planasonix.asked) == (2, [])
    (folder,) = re.findall(r"planasonix: its folder is not there; make it \(install -d -m 0700 '(.+)'\)", ended.err)
    (bare.folder / folder).mkdir(parents=True)
    assert subscribe(bare, "--secret-out", "config/secrets/new ones/planasonix").code == 0
    assert (bare.folder / folder / "planasonix").exists()


def test_subscribe_updates_the_one_that_is_there(bare: Place, planasonix: SubscriptionsApi) -> None:
    """By its URL, in any spelling: never a second one. Its secret cannot be had again, and it says what to do."""
    kept = planasonix.add("https://HOOKS.example.com:443/hooks/planasonix/", ["x"], "whsec_of_a_person")
    kept.enabled = False
    assert subscribe(bare).code == 0
    assert (list(planasonix.kept), kept.enabled, kept.secret) == ([kept.id], True, "whsec_of_a_person")
    assert kept.events == ["job.completed", "job.succeeded", "job.failed"]
    ended = subscribe(bare, "--secret-out", "secret")
    assert (ended.code, (bare.folder / "secret").exists()) == (1, False)
    assert "--new-secret" in ended.err
    assert subscribe(bare, "--secret-out", "secret", "--new-secret").code == 0
    assert (bare.folder / "secret").read_text().strip() == kept.secret != "whsec_of_a_person"


def test_subscribe_says_how_to_go_on_when_no_secret_came(bare: Place, planasonix: SubscriptionsApi) -> None:
    """The subscription is there, its secret is not: the next step is in the message, and works."""
    planasonix.gives_secret = False
    ended = subscribe(bare, "--secret-out", "secret")
    assert (ended.code, (bare.folder / "secret").exists()) == (1, False)
    assert "run this again with --new-secret" in ended.err
    assert subscribe(bare, "--secret-out", "secret", "--new-secret").code == 0
    assert len(planasonix.kept) == 1


def test_subscribe_takes_a_pipelines_own_url(bare: Place, planasonix: SubscriptionsApi) -> None:
    """As `urls` prints it."""
    assert bare.here("subscribe", "--url", f"{HOOK}/pl_1", "--secret-out", "secret").code == 0
    assert [kept.url for kept in planasonix.kept.values()] == [f"{HOOK}/pl_1"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {}), "the key is refused"),
        ((404, {"error": {}}), "has no subscriptions"),
        ((503, {}), "answers 503"),
        ((200, {"data": "x"}), "with no list"),
    ],
)
def test_an_api_that_does_not_answer_is_named(
    bare: Place, planasonix: SubscriptionsApi, answer: tuple[int, object], said: str
) -> None:
    """In one line; nothing was made and no file is there."""
    planasonix.before = lambda _method, _path: answer
    for words in (("subscribe", "--url", BASE, "--secret-out", "secret"), ("subscriptions",), ("unsubscribe", "x")):
        ended = bare.here(*words)
        assert (ended.code, said in ended.err, ended.out) == (1, True, "")
    assert not (bare.folder / "secret").exists()


def test_a_source_without_an_api_is_told_what_to_add(place: Place) -> None:
    """Wrong configuration: the key that is missing is named, and so is a key that is not there."""
    ended = place.here("subscriptions")
    assert (ended.code, "api: {url, key}" in ended.err) == (2, True)


def test_a_key_of_the_api_that_is_not_there_is_named(bare: Place) -> None:
    """The command works without a webhook's secret, and not without this."""
    ended = bare.here("subscriptions", PLANASONIX_API_KEY=None)
    assert (ended.code, "`api` of source planasonix is not there" in ended.err) == (2, True)


# --- subscriptions, unsubscribe ----------------------------------------------------------------------


def test_subscriptions_lists_every_page_with_failures(bare: Place, planasonix: SubscriptionsApi) -> None:
    """Where it delivers, the last delivery, the failures; and of one, its latest deliveries."""
    planasonix.page_size = 2
    for number in range(5):
        planasonix.add(f"{HOOK}/pl_{number}", ["job.completed"])
    bad = planasonix.add("http://127.0.0.1:1/hooks/planasonix", ["job.completed"])
    planasonix.deliver(bad, {"type": "job.completed"})
    found = bare.here("subscriptions", "--json").json
    assert [row["id"] for row in found] == list(planasonix.kept)
    assert (found[-1]["failures_24h"], found[-1]["last_delivery_at"], found[0]["failures_24h"]) == (1, None, 0)
    assert f"{HOOK}/pl_4" in bare.here("subscriptions").out
    item = bare.here("subscriptions", bad.id)
    assert (item.code, "job.completed  failed" in item.out) == (0, True)
    assert bare.here("subscriptions", "wh_none").code == 1


def _lists(planasonix: SubscriptionsApi, *rows: object) -> None:
    """Let the API list these as its subscriptions."""
    answer = (200, {"data": [*rows]})
    planasonix.before = lambda method, path: answer if (method, path) == ("GET", "/api/v1/webhooks") else None


def test_a_subscription_without_a_url_does_not_hide_the_others(bare: Place, planasonix: SubscriptionsApi) -> None:
    """It is somebody else's: it is left out, and how many were is said."""
    item = planasonix.add(HOOK, ["job.completed"])
    _lists(planasonix, item.shown(), {"id": "wh_2"})
    ended = bare.run("subscriptions", "--json")
    assert [row["id"] for row in ended.json] == [item.id]
    assert "subscriptions_not_read" in ended.err
    assert "amount=1" in ended.err
    assert bare.here("unsubscribe", item.id, "--yes").code == 0


def test_a_list_of_which_nothing_can_be_read_is_no_list(bare: Place, planasonix: SubscriptionsApi) -> None:
    """An empty one would be a verdict, and `subscribe` would make a second subscription."""
    _lists(planasonix, {"id": "wh_1"}, {"uuid": "wh_2", "target": HOOK})
    ended = subscribe(bare, "--secret-out", "secret")
    assert (ended.code, "its id or url is missing" in ended.err) == (1, True)
    assert not planasonix.kept


def test_unsubscribe_asks_first_and_removes_that_one(bare: Place, planasonix: SubscriptionsApi) -> None:
    """An id that is not there is no success."""
    item, other = planasonix.add(HOOK, ["x"]), planasonix.add(f"{HOOK}/pl_1", ["x"])
    assert (bare.here("unsubscribe", item.id, stdin="n\n").code, len(planasonix.kept)) == (1, 2)
    assert bare.here("unsubscribe", item.id, "--yes").code == 0
    assert list(planasonix.kept) == [other.id]
    ended = bare.here("unsubscribe", item.id, "--yes")
    assert (ended.code, "no subscription" in ended.err) == (1, True)
