"""rotate without a bridge at hand: what it needs, where it stops, and what a person does in Kubernetes."""

import json
import stat
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Ended, Place
from tests.support.service import SECRET
from tests.support.subscriptions_api import KEY, Kept, SubscriptionsApi

HOOK = "http://127.0.0.1:9/hooks/planasonix"
_NOW = ("--untested", "--overlap", "0s", "--quiet", "0s", "--wait", "0s")


@pytest.fixture
def planasonix() -> Iterator[SubscriptionsApi]:
    """A tenant that delivers to one source."""
    with SubscriptionsApi() as api:
        api.add(HOOK, ["job.completed"], SECRET)
        yield api


@pytest.fixture
def here(place: Place, planasonix: SubscriptionsApi) -> Place:
    """A source whose secret is a variable, with a place for the next one."""
    place.store()
    path = place.folder / "bridge.yaml"
    api = f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}\n"
    current = "        - {id: current, env: PLANASONIX_WEBHOOK_SECRET}\n"
    text = path.read_text().replace(current, current + "        - {id: next, file: next, optional: true}\n")
    path.write_text(text.replace("airflow:\n", f"{api}airflow:\n", 1))
    place.variables["PLANASONIX_API_KEY"] = KEY
    return place


def rotate(place: Place, *words: str) -> Ended:
    """Run it; whatever it says, it says no secret."""
    ended = place.here("rotate", *words)
    assert "whsec" not in ended.out + ended.err
    return ended


def _take(kept: Kept) -> None:
    """Have a webhook of this subscription taken."""
    entry = {"id": "whd_1", "event": "job.completed", "status": "delivered", "http_status": 202}
    kept.deliveries.append(entry | {"delivered_at": "2026-03-01T00:00:00Z"})


def test_the_last_step_is_named_where_the_old_secret_is_no_file_of_ours(
    here: Place, planasonix: SubscriptionsApi
) -> None:
    """It waits for a proof; then it says what to take out of bridge.yaml, and nothing else is left."""
    ended = rotate(here, *_NOW)
    assert (ended.code, ended.out.splitlines()[-2].split()[:3]) == (1, ["not", "yet", "proved"])
    journal = here.folder / ".next.rotation"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert "whsec" not in journal.read_text()
    _former, second = planasonix.kept.values()
    assert (here.folder / "next").read_text() == second.secret + "\n"
    _take(second)
    ended = rotate(here, *_NOW)
    assert (ended.code, list(planasonix.kept.values())) == (0, [second])
    assert "{id: current, env: PLANASONIX_WEBHOOK_SECRET}" in ended.out.splitlines()[-1]
    assert not journal.exists()
    ended = rotate(here, *_NOW)
    assert (ended.code, "has its secret already" in ended.err) == (2, True)


def test_a_subscription_that_is_gone_is_not_removed_once_more(here: Place, planasonix: SubscriptionsApi) -> None:
    """Killed between its removal and the note of it: a second DELETE may be answered by anything."""
    assert rotate(here, *_NOW).code == 1
    former, second = planasonix.kept.values()
    _take(second)
    del planasonix.kept[former.id]
    asked: list[str] = []
    planasonix.before = lambda method, _: asked.append(method)
    assert rotate(here, *_NOW).code == 0
    assert "DELETE" not in asked


def test_a_manifest_for_kubernetes_is_applied_by_a_person(here: Place, planasonix: SubscriptionsApi) -> None:
    """The second subscription delivers nothing until the bridge has the secret; what to run is said."""
    words = ("--secret-out", "new.json", "--kubernetes-secret", "planasonix-bridge/next", "--wait", "0s")
    ended = rotate(here, *words)
    assert (ended.code, ended.out.splitlines()[-2].split()[:3]) == (1, ["not", "yet", "known"])
    assert "kubectl -n NAMESPACE patch secret planasonix-bridge --patch-file new.json" in ended.out.splitlines()[-1]
    found = json.loads((here.folder / "new.json").read_text())
    former, second = planasonix.kept.values()
    assert found["stringData"] == {"next": second.secret}
    assert (former.enabled, second.enabled) == (True, False)
    assert not (here.folder / "next").exists()
    assert rotate(here, *words).code == 1
    assert rotate(here, *words, "--undo").code == 0
    assert list(planasonix.kept.values()) == [former]
    assert not (here.folder / "new.json").exists()


def test_a_place_for_the_new_secret_is_asked_for(here: Place, planasonix: SubscriptionsApi) -> None:
    """Before anything is made, with the line to add."""
    path = here.folder / "bridge.yaml"
    path.write_text(path.read_text().replace("        - {id: next, file: next, optional: true}\n", ""))
    ended = rotate(here)
    assert (ended.code, "optional: true" in ended.err, planasonix.asked) == (2, True, [])


@pytest.mark.parametrize(("answer", "said"), [((401, {}), "the key is refused"), ((503, {}), "answers 503")])
def test_an_api_that_does_not_answer_changes_nothing(
    here: Place, planasonix: SubscriptionsApi, answer: tuple[int, object], said: str
) -> None:
    """No journal, no secret, no subscription."""
    planasonix.before = lambda _method, _path: answer
    ended = rotate(here)
    assert (ended.code, said in ended.out, len(planasonix.kept)) == (1, True, 1)
    assert not (here.folder / "next").exists()
    assert not (here.folder / ".next.rotation").exists()


def test_which_of_several_subscriptions_is_said(here: Place, planasonix: SubscriptionsApi) -> None:
    """Each has a secret of its own; one that is switched off proves nothing."""
    other = planasonix.add(f"{HOOK}/pl_1", ["job.completed"])
    ended = rotate(here, *_NOW)
    assert (ended.code, "--subscription ID" in ended.out, len(planasonix.kept)) == (1, True, 2)
    other.enabled = False
    ended = rotate(here, *_NOW, "--subscription", other.id)
    assert (ended.code, "switched off" in ended.out, len(planasonix.kept)) == (1, True, 2)


def test_a_subscription_that_somebody_else_made_is_left_alone(here: Place, planasonix: SubscriptionsApi) -> None:
    """An answer is lost, and there is another new one at this URL, which delivers: a person has to say whose it is."""
    planasonix.before = lambda method, _path: (503, {}) if method == "POST" else None
    assert rotate(here, *_NOW).code == 1
    planasonix.before = lambda _method, _path: None
    other = planasonix.add(HOOK, ["job.completed"])
    ended = rotate(here, *_NOW)
    assert (ended.code, other.id in ended.out, len(planasonix.kept)) == (1, True, 2)
    assert (ended.out.splitlines()[-2].split()[:3]) == ["not", "yet", "add"]


def test_the_first_stays_when_somebody_took_the_second_away(here: Place, planasonix: SubscriptionsApi) -> None:
    """One of them always delivers."""
    assert rotate(here, *_NOW).code == 1
    former, second = planasonix.kept.values()
    _take(second)
    del planasonix.kept[second.id]
    ended = rotate(here, *_NOW)
    assert (ended.code, "rotate --undo" in ended.out, list(planasonix.kept)) == (1, True, [former.id])


def test_no_secret_is_written_over(here: Place, planasonix: SubscriptionsApi) -> None:
    """A file that somebody filled is not the place for another one."""
    (here.folder / "next").write_text("whsec_of_somebody_else_0123456789")
    ended = rotate(here, *_NOW, "--key", "next")
    assert (ended.code, "holds a secret already" in ended.out, len(planasonix.kept)) == (1, True, 1)
