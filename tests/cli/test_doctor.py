"""doctor on a real bridge: fine where it is fine, and of each documented failure the sentence that a person reads."""

import json
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.processes import free_port
from tests.cli.conftest import Ended, run_here
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.support.store import empty_store
from tests.support.subscriptions_api import KEY, SubscriptionsApi
from tests.support.tls_front import TlsFront

pytestmark = pytest.mark.slow
MAPPING = "routes: [{name: orders, pipeline: pl_8f2a9c1d4e, dag: load_orders}]"
EVENTS = ["job.succeeded", "job.failed"]


@dataclass(frozen=True, slots=True)
class World:
    """A bridge behind TLS, its Planasonix and its Airflow."""

    bridge: BridgeProcess
    planasonix: SubscriptionsApi
    airflow: Standin
    front: TlsFront

    def doctor(self, *words: str, base: str | None = None, **variables: str | None) -> Ended:
        """Run it as a person beside the bridge does."""
        trusted = str(self.front.certificate)
        env = {**self.bridge.environment, "PLANASONIX_API_KEY": KEY, "SSL_CERT_FILE": trusted, **variables}
        return run_here(self.bridge.folder, env, "doctor", "--base", base or self.front.url, *words)

    def starts(self) -> int:
        """Return how many runs Airflow was asked for in earnest."""
        return len(self.airflow.runs())


@contextmanager
def started(folder: Path) -> Iterator[World]:
    """A world in which nothing is wrong."""
    with SubscriptionsApi() as planasonix, Standin() as airflow:
        api = f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}\n"
        os.environ["PLANASONIX_API_KEY"] = KEY
        bridge = BridgeProcess(folder, airflow_url=airflow.url, mapping=MAPPING, source=api)
        del os.environ["PLANASONIX_API_KEY"]
        try:
            bridge.start()
            with TlsFront(folder, port=bridge.port) as front:
                planasonix.trusts = ssl.create_default_context(cafile=str(front.certificate))
                planasonix.add(f"{front.url}/hooks/planasonix", EVENTS, "whsec_01jq8secretxxxxxxxxxxxxxxxx")
                yield World(bridge, planasonix, airflow, front)
        finally:
            bridge.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all tests here: each leaves it as it was."""
    with started(tmp_path_factory.mktemp("doctor")) as service:
        yield service


@pytest.fixture(autouse=True)
def _as_it_was(world: World) -> Iterator[None]:
    """Whatever a test plants is gone afterwards."""
    kept = dict(world.planasonix.kept)
    dags = {name: dict(dag) for name, dag in world.airflow.dags.items()}
    yield
    world.planasonix.kept = kept
    world.planasonix.date, world.planasonix.before = None, lambda _method, _path: None
    for item in kept.values():
        item.enabled, item.events, item.deliveries = True, EVENTS, []
    world.airflow.dags, world.airflow.front = dags, lambda _method, _path: None


def line(ended: Ended, step: str) -> str:
    """Return the first line of a step, with its next one."""
    lines = ended.out.splitlines()
    at = next((i for i, text in enumerate(lines) if text[9:].startswith(step + " ")), None)
    assert at is not None, ended.out + ended.err
    following = lines[at + 1] if at + 1 < len(lines) and lines[at + 1].startswith("         next") else ""
    return lines[at] + following


# --- as it should be ---------------------------------------------------------------------------------


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[World]:
    """One in which nothing was ever wrong: the bridge knows for a minute of a DAG that was broken."""
    with started(tmp_path) as service:
        yield service


def test_a_whole_way_that_works_is_fine(fresh: World) -> None:
    """Through TLS and back out of the store, with the API and Airflow; nothing is wrong, and nothing is started."""
    world = fresh
    (kept,) = world.planasonix.kept.values()
    assert world.planasonix.deliver(kept, json.loads(body(event="evt_real"))) == 202
    before = world.starts()
    ended = world.doctor("--json")
    assert (ended.code, [item for item in ended.json if item["verdict"] == "wrong"]) == (0, [])
    fine = {item["step"] for item in ended.json if item["verdict"] == "fine"}
    steps = {"configuration", "secret", "tls", "clock", "event", "stored", "api", "sender's clock", "subscription"}
    assert fine == steps | {"kinds", "airflow", "airflow clock", "sign-in", "runs", "dag", "right", "store", "disk"}
    unknown = {item["step"]: item["next_step"] for item in ended.json if item["verdict"] == "unknown"}
    assert "public address" in unknown["name"]
    assert "--sender-test" in unknown["sender's test"]
    ignored = world.bridge.api("deliveries", state="ignored")["deliveries"]
    assert ignored[0]["reason"] == "test_event"
    assert world.starts() - before <= 1  # the run of the job above


def test_the_test_event_starts_nothing_however_open_the_mapping_is(world: World) -> None:
    """A route without any condition takes every event, and never this one."""
    world.bridge.write_mapping("routes: [{name: all, dag: load_orders}]")
    try:
        before = world.starts()
        assert "started nothing" in line(world.doctor(), "stored")
        assert world.starts() == before
    finally:
        world.bridge.write_mapping(MAPPING)


def test_the_senders_test_is_waited_for(world: World) -> None:
    """It really arrives through the public URL, signed by the sender."""
    ended = world.doctor("--sender-test")
    assert "fine     sender's test" in line(ended, "sender's test")


def test_without_a_base_the_subscription_says_where(world: World) -> None:
    """Its URL is the public one."""
    env = {**world.bridge.environment, "PLANASONIX_API_KEY": KEY, "SSL_CERT_FILE": str(world.front.certificate)}
    ended = run_here(world.bridge.folder, env, "doctor")
    assert f"fine     event          {world.front.url}/hooks/planasonix" in ended.out


def test_a_running_bridge_examines_itself(fresh: World) -> None:
    """By the API, as the page's button does: at its own port if no subscription says where, one at a time, audited."""
    bridge, before = fresh.bridge, fresh.starts()
    fresh.planasonix.kept = {}
    assert bridge.api("examination") == {"is_running": False, "started_at": None, "ended_at": None, "findings": []}
    started = [bridge.api("examine", post={})["started_at"] for _ in range(2)]
    wait_for(lambda: not bridge.api("examination")["is_running"], seconds=60, what="the end of it")
    found = {each["step"]: each for each in bridge.api("examination")["findings"]}
    assert started[0] == started[1] == bridge.api("examination")["started_at"]
    assert (found["stored"]["verdict"], found["right"]["verdict"]) == ("fine", "fine"), found
    assert found["event"]["about"] == f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    assert (found["subscription"]["verdict"], found["public URL"]["verdict"]) == ("wrong", "unknown")
    assert [line["action"] for line in bridge.api("audit")["audit"]].count("examined") == 1
    assert fresh.starts() == before


# --- what is documented to fail ----------------------------------------------------------------------


def _no_subscription(world: World) -> None:
    world.planasonix.kept = {}


def _switched_off(world: World) -> None:
    next(iter(world.planasonix.kept.values())).enabled = False


def _failures(world: World) -> None:
    kept = next(iter(world.planasonix.kept.values()))
    kept.deliveries = [{"status": "failed", "http_status": 401, "delivered_at": "2026-01-01T00:00:00Z"}]


def _both_kinds(world: World) -> None:
    next(iter(world.planasonix.kept.values())).events = ["job.succeeded", "pipeline.run.succeeded"]


def _another_time(world: World) -> None:
    world.planasonix.date = format_datetime(datetime.now(UTC) - timedelta(minutes=10), usegmt=True)


def _refused_key(world: World) -> None:
    world.planasonix.before = lambda _method, _path: (401, {})


def _paused_dag(world: World) -> None:
    world.airflow.dags["load_orders"] = {"is_paused": True}


def _paused_dag_with_params(world: World) -> None:
    day = {"value": None, "schema": {"type": "string"}}
    world.airflow.dags["load_orders"] = {"is_paused": True, "params": {"day": day}}


def _no_dag(world: World) -> None:
    world.airflow.dags = {}


def _broken_dag(world: World) -> None:
    world.airflow.dags["load_orders"] = {"is_paused": False, "has_import_errors": True}


def _no_right(world: World) -> None:
    world.airflow.front = lambda method, path: (
        (403, {"detail": "Forbidden"}) if method == "POST" and path.endswith("dagRuns") else None
    )


def _no_list_of_runs(world: World) -> None:
    world.airflow.front = lambda _method, path: (403, {"detail": "Forbidden"}) if path.endswith("/list") else None


def _no_health(world: World) -> None:
    world.airflow.front = lambda _method, path: (503, {"detail": "x"}) if "version" in path else None


def _a_gateway(world: World) -> None:
    world.airflow.front = lambda _method, path: (401, {"detail": "Not authenticated"}) if "dags" in path else None


@pytest.mark.parametrize(
    ("plant", "step", "says", "next_step"),
    [
        (_no_subscription, "subscription", "none of 0 delivers to", "planasonix-bridge subscribe --url"),
        (_switched_off, "subscription", "it is switched off", "switches it on"),
        (_failures, "subscription", "1 deliveries failed in the last 24 hours, the last with 401", "refusals"),
        (_both_kinds, "kinds", "the route orders takes both: two DAG runs a load", 'event: "job.*"'),
        (_another_time, "sender's clock", "s ahead of Planasonix'", "by NTP"),
        (_refused_key, "api", "the key is refused", "Correct `api`"),
        (_paused_dag, "dag", "paused: runs are made but wait until it is unpaused", "airflow dags unpause load_orders"),
        (
            _paused_dag_with_params,
            "dag",
            "conf lacks the DAG's required params day; paused: runs",
            "mapping.yaml:1. Unpause",
        ),
        (_no_dag, "dag", "route orders: Airflow has no such DAG", "mapping.yaml:1"),
        (_broken_dag, "dag", "the DAG's file has an import error", "Look at the DAG load_orders"),
        (_no_right, "right", "our user may not start runs of it", "the right to create DAG runs"),
        (_no_list_of_runs, "runs", "may not read DAG runs", "the right to read the DAG runs of all DAGs"),
        (_no_health, "airflow", "airflow_down", ""),
        (_a_gateway, "sign-in", "airflow_unauthorized", ""),
    ],
)
def test_what_is_wrong_outside_is_named_with_the_next_step(
    world: World, plant: Callable[[World], None], step: str, says: str, next_step: str
) -> None:
    """Exit 1, the step is `wrong`, and every other step is looked at all the same."""
    plant(world)
    ended = world.doctor()
    found = line(ended, step)
    assert (ended.code, found.split()[0]) == (1, "wrong")
    assert says in found
    assert next_step in found
    assert "fine     disk" in ended.out


@pytest.mark.parametrize(
    ("changes", "step", "says"),
    [
        ({"base": "https://nowhere.invalid"}, "name", "it leads nowhere"),
        ({"base": "plain"}, "tls", "it is not encrypted"),
        ({"SSL_CERT_FILE": "/dev/null"}, "tls", "its certificate is not accepted"),
        ({"base": "path"}, "event", "404: the URL names no source there"),
        ({"base": "closed"}, "event", "nothing answers"),
        ({"PLANASONIX_WEBHOOK_SECRET": "whsec_another_0123456789abcdef"}, "event", "refused (signature_mismatch)"),
        ({"PLANASONIX_WEBHOOK_SECRET": "whsec_01jq8secretxxxxxxxxxxxxxxxx\n"}, "configuration", "ends with a blank"),
        ({"PLANASONIX_WEBHOOK_SECRET": "whsec_changeme_changeme_secret"}, "configuration", "is a placeholder"),
        ({"PLANASONIX_WEBHOOK_SECRET": "whsec_x"}, "configuration", "is shorter than"),
        ({"PLANASONIX_WEBHOOK_SECRET": None}, "configuration", "PLANASONIX_WEBHOOK_SECRET is not set"),
    ],
)
def test_what_is_wrong_here_is_named(world: World, changes: dict[str, Any], step: str, says: str) -> None:
    """Name, TLS, path, secret: each with its sentence, and without the secret."""
    plain = f"http://127.0.0.1:{world.bridge.port}"
    bases = {"plain": plain, "path": f"{plain}/other", "closed": f"http://127.0.0.1:{free_port()}"}
    base = changes.pop("base", None)
    ended = world.doctor(base=bases.get(base, base), **changes)
    found = line(ended, step)
    assert (ended.code, found.split()[0]) == (1, "wrong")
    assert says in found
    assert "whsec" not in ended.out


def test_another_bridge_than_the_one_asked_is_noticed(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The event is answered 202, and is not in the store that this command looks into."""
    other = tmp_path_factory.mktemp("other") / "bridge.db"
    ended = world.doctor(BRIDGE_DATABASE_URL=f"sqlite:///{other}")
    assert ended.code == 1
    assert "there is no store" in line(ended, "store")
    empty_store(other)
    ended = world.doctor(BRIDGE_DATABASE_URL=f"sqlite:///{other}")
    assert "The public URL leads to another bridge" in line(ended, "stored")


def test_a_certificate_that_ends_soon_is_wrong(world: World) -> None:
    """Two weeks are time to renew it without hurry."""
    with TlsFront(world.bridge.folder, port=world.bridge.port, days=3) as front:
        ended = world.doctor(base=front.url, SSL_CERT_FILE=str(front.certificate))
    assert "the certificate ends in 2 days" in line(ended, "tls")


def test_a_test_of_the_sender_that_never_comes_is_said(world: World) -> None:
    """Planasonix took the order, and nothing arrived."""
    world.planasonix.before = lambda _method, path: (202, {}) if path.endswith("/test") else None
    ended = world.doctor("--sender-test", "--wait-seconds", "1")
    assert "none came in 1 s" in line(ended, "sender's test")


def test_a_pause_that_the_route_provides_for_is_fine(world: World) -> None:
    """It is said, with the route, and nobody has to do anything; `status` thinks the same of it."""
    _paused_dag(world)
    world.bridge.write_mapping(MAPPING.replace("dag:", "if_paused: hold, dag:"))
    try:
        found = line(world.doctor(), "dag")
    finally:
        world.bridge.write_mapping(MAPPING)
    assert found.startswith("fine ")
    assert "paused: what comes for it is held here until it is unpaused, as route orders says" in found
