"""Each question of an operator is answered by one command: those of docs/operating.md, as they stand there."""

import shlex
import time
from collections.abc import Iterator

import httpx
import pytest

from bridge.rules.signature import PRESETS, Key, sign
from tests.docs.pages import page
from tests.support import forkserver
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

MAPPING = """\
routes:
  - {name: orders, pipeline: pl_orders, dag: load_orders}
  - {name: by_day, pipeline: pl_by_day, dag: load_orders, conf: {day: "{{ event.parameters.business_date }}"}}
  - {name: returns, pipeline: pl_returns, dag: load_returns}
  - {name: asleep, pipeline: pl_asleep, dag: load_asleep}
  - {name: nowhere, pipeline: pl_nowhere, dag: load_nowhere}
  - {name: parked, pipeline: pl_parked, dag: load_parked, if_paused: hold}
  - {name: strict, pipeline: pl_strict, dag: load_strict}
  - {name: rare, pipeline: pl_rare, dag: load_orders, max_per_hour: 1}
  - {name: away, pipeline: pl_away, dag: load_orders, airflow: away}
  - {name: soon, pipeline: pl_soon, dag: load_orders, airflow: away, deadline: 1s}
"""
AWAY = """\
  away:
    url: http://127.0.0.1:9
    auth: {username: {env: AIRFLOW_USERNAME}, password: {env: AIRFLOW_PASSWORD}}"""
WAITING = {"template", "dag_not_found", "dag_paused", "conf_refused", "hourly_ceiling", "airflow_down", "too_late"}
ASLEEP = "dag: load_asleep at default"  # paused, and Airflow keeps its runs: nothing is held, and nothing failed
NOWHERE = "dag: load_nowhere at default"  # missing, and nothing waits for it yet
# By the question's first words: what the answer has to say.
ANSWERS: dict[str, tuple[str, ...]] = {
    "Is all well?": ("template",),
    "`pl_orders` ended": ("load_orders",),
    "Is a secret wrong?": ("signature_mismatch",),
    "Did something come too late": ("stale",),
    "Is there a status that nobody knows?": ("status_unknown",),
    "Did a `deadline` pass": ("too_late",),
    "Did something match no route": ("no_route",),
    "Did a template fail?": ("by_day",),
    "Is a DAG missing?": ("load_returns", NOWHERE),
    "Is a DAG paused?": ("load_parked", ASLEEP),
    "Is an Airflow down?": ("held: away -> load_orders at away",),
    "Did Airflow refuse a conf?": ("load_strict",),
    "Does something wait for the next hour?": ("hourly_ceiling",),
    "Was a webhook a copy?": ("duplicate",),
    "Who did this?": ("cli:",),
}


def _rows() -> list[tuple[str, str]]:
    """Return the questions of the page, and the command of each."""
    part = page("operating.md").split("## One question, one step")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if "planasonix-" in line]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(row[0].lstrip("| "), row[-1].strip("` |")) for row in rows]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge where everything that is asked about has happened."""
    with Standin() as airflow:
        airflow.dags |= {"load_parked": {"is_paused": True}, "load_strict": {"required": ["day"]}}
        airflow.dags["load_asleep"] = {"is_paused": True}
        running = BridgeProcess(
            tmp_path_factory.mktemp("questions"),
            airflow_url=airflow.url,
            mapping=MAPPING,
            more=AWAY,
            settings={"BRIDGE_DAGS_SECONDS": "5"},
        )
        running.start()
        try:
            _plant(running)
            yield running
        finally:
            running.close()


def _plant(bridge: BridgeProcess) -> None:
    for word in ("orders", "by_day", "returns", "parked", "asleep", "strict", "away", "soon", "nobody"):
        bridge.send(body(event=f"evt_{word}", pipeline=f"pl_{word}"))
    bridge.send(b'{"id": "evt_odd", "type": "job.finished", "job_id": "job_odd", "status": "half done"}')
    for number in range(2):
        bridge.send(body(event=f"evt_rare_{number}", pipeline="pl_rare"))
    bridge.send(body(event="evt_orders", pipeline="pl_orders"))
    bridge.send(body(event="evt_old", pipeline="pl_orders"), at=1_700_000_000)
    payload = body(event="evt_forged")
    headers = sign(PRESETS["planasonix"], Key("current", b"whsec_of_somebody_else_0000000"), payload, int(time.time()))
    url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    refused = httpx.post(
        url, content=payload, headers=headers | {"Content-Type": "application/json"}, trust_env=False, timeout=60
    )
    assert refused.status_code == 401
    paused = forkserver.run("pause", "route", "orders", "--reason", "a look", env=bridge.environment)
    assert paused.returncode == 0, paused.stderr
    wait_for(
        lambda: {trigger["reason"] for trigger in bridge.triggers()} >= WAITING,
        seconds=30,
        what=lambda: str([(trigger["route"], trigger["reason"]) for trigger in bridge.triggers()]),
    )
    wait_for(lambda: bridge.triggers(route="asleep", state="fired"), seconds=30, what="the run of a paused DAG")
    wait_for(
        lambda: {ASLEEP, NOWHERE} <= {f"{each['what']}: {each['about']}" for each in bridge.api("status")["needs"]},
        seconds=30,
        what="a look at the DAGs",
    )
    wait_for(lambda: len(bridge.api("refusals")["refusals"]) >= 2, seconds=10, what="the refusals")


def test_every_question_is_tried() -> None:
    """The table and the answers here are of the same questions."""
    assert [next((known for known in ANSWERS if row.startswith(known)), row) for row, _ in _rows()] == list(ANSWERS)


@pytest.mark.parametrize(("question", "command"), _rows(), ids=[row[:30] for row, _ in _rows()])
def test_one_command_answers(bridge: BridgeProcess, question: str, command: str) -> None:
    """As it stands on the page; the time of day, and what something was done to, are those of the test."""
    command = command.replace("--since 02:40", "--since 1h").replace("trg_...", "'route orders'")
    words = shlex.split(command)
    done = forkserver.run(*words[1:], env=bridge.environment)
    assert done.returncode in (0, 1), done.stderr
    (answers,) = (wanted for known, wanted in ANSWERS.items() if question.startswith(known))
    for answer in answers:
        assert answer in done.stdout, done.stdout + done.stderr
