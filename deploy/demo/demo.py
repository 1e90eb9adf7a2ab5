"""`make demo`: a real Airflow, the bridge, and one signed webhook that becomes one DAG run, and only one.

    prepare     Airflow's database, the first time
    start       api-server, scheduler, dag-processor and the bridge, each a process group of its own
    send        one signed webhook -> follow its DAG run to success
    send again  the same webhook -> answered `duplicate`, no second DAG run
    stay        until Ctrl-C; with --exit stop at once, with exit code 0 only if all of that was seen

Everything listens on loopback only and is kept in `.demo/`.
"""

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.demo import provider, show
from deploy.demo.airflow_api import AirflowApi
from deploy.demo.bridge import MAPPING, configure_bridge
from deploy.demo.home import (
    HOME,
    PROVIDER,
    AlreadyRunning,
    configure_airflow,
    is_migrated,
    load_secrets,
    note_migrated,
    open_home,
    shown,
    write_payload,
)
from deploy.demo.processes import DidNotStart, Process, stop_all, wait_until

DAG = "refresh_sales_marts"
PIPELINE = "pl_8f2a9c1d4e"
RUN_SECONDS = 120  # from webhook to the end of the DAG run; 5 s on an idle machine
QUIET_SECONDS = 3  # how long a duplicate is given to start something; a new webhook takes well below 1 s


class NotShown(Exception):
    """Something that the demo promises did not happen."""


def main() -> int:
    """Run the demo; 0 if everything was seen, 1 if not."""
    parser = argparse.ArgumentParser(prog="demo", description="One webhook, one DAG run.")
    parser.add_argument("--exit", action="store_true", help="stop when it has been shown")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT too: a shell's background job ignores it
        signal.signal(number, _interrupt)
    try:
        with open_home():
            return _run(stays=not arguments.exit)
    except AlreadyRunning as error:
        show.failure(str(error))
    except KeyboardInterrupt:  # before there was anything to stop, or a second one while it was stopped
        show.say()
    return 1


def _run(*, stays: bool) -> int:
    demo = Demo()
    is_seen = False
    try:
        demo.start()
        demo.show_one_webhook()
        is_seen = True
        if stays:
            demo.stay()
    except (DidNotStart, NotShown) as error:
        show.failure(str(error))
        show.say(f"Logs: {shown(HOME / 'bridge.log')} and {shown(HOME / 'airflow' / 'logs')}/*.log")
    except KeyboardInterrupt:
        show.say()
    finally:
        demo.stop()
    return 0 if is_seen else 1


class Demo:
    """One demo: what is running, and what is done with it."""

    def __init__(self) -> None:
        """Configure everything and start nothing."""
        self._secrets = load_secrets()
        self._airflow = configure_airflow(self._secrets)
        self._bridge = configure_bridge(self._airflow, self._secrets)
        self._api = AirflowApi(self._airflow.url, username="admin", password=self._secrets.passwords["admin"])
        self._processes: list[Process] = []

    def start(self) -> None:
        """Start Airflow and the bridge side by side, and return when both are ready."""
        show.headline("Starting Airflow and the bridge")
        self._airflow.prepare()
        with show.step("the provider for Airflow is built"):
            provider.install(PROVIDER)
        if not is_migrated():
            with show.step("Airflow's metadata database is made (only the first time)"):
                self._airflow.migrate()
                note_migrated()
        service = self._start(self._bridge.serve())
        api_server = self._start(self._airflow.component("api-server"))
        scheduler = self._start(self._airflow.component("scheduler", "--skip-serve-logs"))
        processor = self._start(self._airflow.component("dag-processor"))
        with show.step("the bridge is ready"):
            self._bridge.wait_ready(service)
        with show.step("Airflow's API answers"):
            self._airflow.wait_ready(api_server)
        with show.step("Airflow's scheduler beats"):
            wait_until(self._scheduler_is_healthy, of=scheduler, timeout_seconds=120)
        with show.step(f"Airflow knows the DAG {DAG}"):
            wait_until(lambda: self._api.has_dag(DAG), of=processor, timeout_seconds=120)

    def show_one_webhook(self) -> None:
        """Send a webhook, follow its DAG run, send it again. Raises NotShown."""
        payload, event_id = write_payload("sales", pipeline_id=PIPELINE, business_date="2025-03-27")
        show.headline(f"Planasonix says: pipeline {PIPELINE} has succeeded")
        self._send(payload)
        run = self._follow(event_id)
        show.headline("Planasonix says it again, as it does when an answer is lost")
        answer = self._send(payload)
        if "duplicate" not in answer:
            raise NotShown("the second copy was not answered as a duplicate")
        with show.step("no second DAG run was started"):
            time.sleep(QUIET_SECONDS)
            if self._runs_of(event_id) != [run]:
                raise NotShown("the second copy started another DAG run")

    def stay(self) -> None:
        """Print where to look and what to try, and return only by an interrupt, or NotShown if something ends."""
        self._print_links()
        while True:
            for process in self._processes:
                if not process.is_running:
                    raise NotShown(f"{process.name} ended with exit code {process.exit_code}\n{process.tail()}")
            time.sleep(1)

    def stop(self) -> None:
        """Stop everything that was started."""
        self._api.close()
        with show.step("everything that was started is stopped"):
            stop_all(self._processes)

    def _start(self, process: Process) -> Process:
        self._processes.append(process)
        process.start()
        return process

    def _send(self, payload: Path) -> str:
        show.say(f"  $ planasonix-bridge send {shown(payload)} --url {self._bridge.hook_url}")
        answer = self._bridge.send(payload)
        show.detail(answer)
        return answer

    def _follow(self, event_id: str) -> str:
        """Wait for the one DAG run of an event to succeed; return its id. Raises NotShown."""
        deadline = time.monotonic() + RUN_SECONDS
        with show.step(f"Airflow runs {DAG}: success"):
            while not (runs := self._runs_of(event_id)):
                self._check_time(
                    deadline, f"no DAG run was started: does {shown(MAPPING)} still send {PIPELINE} to it?"
                )
            while (state := self._state(runs[0])) != "success":
                if state == "failed":
                    raise NotShown(f"the DAG run {runs[0]} failed")
                self._check_time(deadline, f"the DAG run {runs[0]} is still {state} after {RUN_SECONDS} s")
        show.detail(f"{self._airflow.url}/dags/{DAG}/runs/{runs[0]}")
        show.detail(self._printed_conf(runs[0]))
        return runs[0]

    def _runs_of(self, event_id: str) -> list[str]:
        return [
            str(run["dag_run_id"])
            for run in self._api.runs(DAG)
            if (run["conf"] or {}).get("planasonix", {}).get("event_id") == event_id
        ]

    def _state(self, dag_run_id: str) -> str:
        run: dict[str, Any] = self._api.run(DAG, dag_run_id) or {}
        return str(run.get("state"))

    def _printed_conf(self, dag_run_id: str) -> str:
        """What the DAG's task printed: the conf that arrived."""
        lines = self._api.task_log(DAG, dag_run_id, "print_conf").splitlines()
        return "\n".join(line for line in lines if line.startswith(("{", "}", " ")))

    def _scheduler_is_healthy(self) -> bool:
        health = self._api.call("GET", "/monitor/health").json()
        return bool(health["scheduler"]["status"] == "healthy")

    @staticmethod
    def _check_time(deadline: float, complaint: str) -> None:
        if time.monotonic() > deadline:
            raise NotShown(complaint)
        time.sleep(0.2)

    def _print_links(self) -> None:
        failing, _ = write_payload(
            "fails_on_demand", pipeline_id="pl_fails_on_demand", business_date="2025-03-27", fail=True
        )
        token = self._secrets.admin_token
        show.headline("Where to look")
        show.say(f"  Airflow         {self._airflow.url}   user admin, password {self._secrets.passwords['admin']}")
        show.say(f"  webhooks        {self._bridge.hook_url}")
        show.say(f"  bridge, pages   {self._bridge.admin_url}   sign in with the token {token}")
        show.say(f"  bridge, API     curl -H 'Authorization: Bearer {token}' {self._bridge.admin_url}/api/v1/status")
        show.say(f"  bridge, metrics curl -H 'Authorization: Bearer {token}' {self._bridge.admin_url}/metrics")
        show.headline("What to try next, in another terminal")
        show.say(f"  . {shown(HOME / 'env')}")
        show.say("  planasonix-bridge triggers")
        show.say(f"  planasonix-bridge explain {shown(failing)}")
        show.say(f"  planasonix-bridge send {shown(failing)}   # starts a DAG run that fails")
        show.say("  in Airflow, Admin > Connections: the type Planasonix, for DAGs that run pipelines themselves")
        show.say(f"  edit {shown(MAPPING)}: routes are picked up while the bridge runs")
        show.headline("Ctrl-C stops everything.")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
