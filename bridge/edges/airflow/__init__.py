"""One Airflow as firing sees it: start a DAG run, tell whether the place is well, look at a DAG.

A call is repeated whenever its outcome is unknown, always under the trigger's own DAG run id, and Airflow's answer
409 is never believed without reading the run back. So calls may repeat, DAG runs cannot. Whatever the network,
Airflow or something in between does becomes an Outcome; nothing of it is raised.

The answer to one call is never a verdict on the whole Airflow: before it stops everything, the place itself is asked.
The Airflow client takes about a second and 26 MB to import, so that happens at the first use (or `warm_up`).
"""

import threading
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bridge.edges.airflow import answers, dags, listing, runs
from bridge.edges.airflow.answers import Ailing, Conflict, Doubt
from bridge.edges.airflow.place import Place
from bridge.edges.airflow.versions import run_url
from bridge.edges.airflow.waits import Waits
from bridge.edges.airflow.wire import Answer, Failure, Kind
from bridge.words.dags import DagFacts, DagPage
from bridge.words.model import Trigger
from bridge.words.outcomes import (
    AlreadyThere,
    Later,
    Misconfigured,
    Never,
    Outcome,
    Started,
    Taken,
    TargetDown,
    as_look,
)
from bridge.words.reasons import Reason
from bridge.words.runs import RunPage, RunSeen
from bridge.words.targets import AirflowTarget

if TYPE_CHECKING:
    from bridge.edges.airflow.session import Session

_COPIES = 4  # a copy's run may have a larger conf than ours, and is spelled longer than it was sent
_LEAST_ECHO_BYTES = 8 * 1_048_576  # Airflow 2 spells a conf up to 30 times as long


class Airflow:
    """One Airflow; thread-safe, synchronous."""

    def __init__(self, target: AirflowTarget) -> None:
        """Import and call nothing yet."""
        self._target = target
        self._lock = threading.Lock()
        self._place = Place(self.probe)
        self._opened: Session | None = None
        self._paused = dags.Paused()

    def take_over(self, target: AirflowTarget) -> None:
        """Call with other credentials, headers and proxy from the next time on; everything else stays as it is."""
        with self._lock:
            self._target = target
            if self._opened is not None:
                self._opened.take_over(target)

    def run_url(self, dag_id: str, dag_run_id: str) -> str:
        """Return where people look at a DAG run. Asks nothing: until the version is known it is taken for Airflow 3."""
        return run_url(self._target, None if self._opened is None else self._opened.known_version, dag_id, dag_run_id)

    def warm_up(self) -> None:
        """Import the Airflow client now, so that the first trigger does not wait for it."""
        self._session()

    def fire(self, trigger: Trigger) -> Outcome:
        """Start the trigger's DAG run, once and for all; idempotent by its DAG run id, blocks up to a few deadlines.

        1. POST the run under our id
        2. no whole answer, or one from a gateway: read the run back, then ask the place
        3. 409: read the run back and see whose it is
        4. anything else that looks like trouble of the whole place: ask the place; what it refutes is this trigger's
        """
        if (refusal := runs.unsendable(trigger, self._target.max_conf_bytes)) is not None:
            return refusal
        answer = self._post(trigger)
        if isinstance(answer, Answer):
            return self._resolve(trigger, answers.after_trigger(answer, trigger.call.dag_run_id))
        if isinstance(answer, Failure):
            if answer.kind is Kind.UNKNOWN:
                return self._resolve_doubt(trigger, Doubt(answer.detail))
            outcome = self._unless_refuted(answers.after_failure(answer))
            return outcome if answer.is_sent and answer.kind is not Kind.NOTHING_SENT else as_look(outcome)
        return as_look(answer)  # the place's own words: its version, or its sign-in

    def look_back(self, trigger: Trigger) -> Outcome | None:
        """Return whether the trigger's DAG run is there, None if not, or why Airflow does not say. Starts nothing."""
        found = self._read_back(trigger)
        outcome = runs.judge_existing(found, trigger) if isinstance(found, dict) else found
        return None if isinstance(outcome, Never | Taken) else outcome  # another's run under our id

    def probe(self) -> answers.TargetProblem | None:
        """Return what keeps this Airflow from being fired at, or None: it is healthy and lets us in."""
        session = self._session()
        return session.health() or session.signed_in()

    def look_at_itself(self) -> tuple[str, datetime | None] | answers.TargetProblem:
        """Return the version and what the clock shows there, or what keeps Airflow from telling."""
        return self._session().seen()

    def may_start(self, dag_id: str) -> bool | None:
        """Return whether this user may start runs of a DAG, None where that is not known. Starts none."""
        return dags.may_start(self._session(), dag_id)

    def look_at(self, dag_id: str) -> DagFacts | answers.TargetProblem:
        """Return one DAG with its params, or what keeps Airflow from telling."""
        return dags.single(self._session(), dag_id, "details")

    def list_dags(self, offset: int, limit: int = dags.PAGE) -> DagPage | answers.TargetProblem:
        """Return a page of DAGs from the `offset`th on, by one request."""
        return dags.page(self._session(), offset, limit)

    def look_at_dag(self, dag_id: str) -> DagFacts | answers.TargetProblem:
        """Return one DAG without its params, or what keeps Airflow from telling."""
        return dags.single(self._session(), dag_id)

    def list_runs(
        self,
        dag_ids: Collection[str],
        since: datetime,
        until: datetime,
        *,
        limit: int,
        offset: int = 0,
        echo_bytes: int = 0,
    ) -> RunPage | answers.TargetProblem:
        """Return the runs of these DAGs made in a stretch of time, by one request.

        `offset` of them are left out; `echo_bytes`: how much of what was once sent the list may repeat.
        """
        session = self._session()
        version = session.version()
        if not isinstance(version, str):
            return version
        body = listing.question(version, dag_ids=dag_ids, since=since, until=until, limit=limit, offset=offset)
        answer = session.call("POST", *listing.LIST, body=body, echo_bytes=echo_bytes)
        if not isinstance(answer, Answer):
            return answers.after_failure(answer) if isinstance(answer, Failure) else answer
        if answer.is_cut and answer.status == 200:
            return RunPage((), is_whole=False, is_cut=True)
        problem = answers.after_question(answer)
        page = None if problem else listing.page(answer, limit=limit)
        return (
            page
            or problem
            or Misconfigured(Reason.AIRFLOW_MISCONFIGURED, f"{answers.message(answer)}, which lists no DAG runs")
        )

    def look_at_run(self, dag_id: str, dag_run_id: str) -> RunSeen | answers.TargetProblem | None:
        """Return one run, None if Airflow says that there is none, or what keeps it from telling."""
        echo_bytes = max(_LEAST_ECHO_BYTES, _COPIES * self._target.max_conf_bytes)
        answer = self._session().call("GET", "dags", dag_id, "dagRuns", dag_run_id, echo_bytes=echo_bytes)
        if not isinstance(answer, Answer):
            return answers.after_failure(answer) if isinstance(answer, Failure) else answer
        if listing.is_gone(answer):
            return None
        problem = None if answer.is_cut else answers.after_question(answer)
        run = None if problem else listing.seen(answer.object())
        return (
            run
            or problem
            or Misconfigured(
                Reason.AIRFLOW_MISCONFIGURED, f"{answers.message(answer)}, which is no DAG run", is_whole_target=False
            )
        )

    def look_before(self, trigger: Trigger) -> Outcome | None:
        """Return what keeps a trigger from being fired at its DAG, by one request; None: nothing does.

        A DAG that Airflow does not tell of is not fired at: nobody knows whether it is paused.
        """
        if (refusal := runs.unsendable(trigger, self._target.max_conf_bytes)) is not None:
            return refusal
        found = dags.single(self._session(), trigger.call.dag_id)
        if not isinstance(found, DagFacts):
            return self._unless_refuted(found)
        self._paused.note(trigger.call.dag_id, is_paused=found.is_paused)
        return dags.before(found, trigger.call.if_paused)

    @property
    def waits(self) -> Waits:
        """The tasks that wait for input."""
        return Waits(self._session)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()

    def _session(self) -> "Session":
        with self._lock:
            if self._opened is None:
                from bridge.edges.airflow.session import Session  # noqa: PLC0415 - see the module's docstring
                from bridge.edges.airflow.transport import Transport  # noqa: PLC0415

                self._opened = Session(self._target, Transport(self._target))
            return self._opened

    def _post(self, trigger: Trigger) -> Answer | Failure | answers.TargetProblem:
        session = self._session()
        version = session.version()
        if not isinstance(version, str):
            return version
        return session.call(
            "POST",
            "dags",
            trigger.call.dag_id,
            "dagRuns",
            body=runs.body(trigger, version),
            seconds=self._target.deadline_seconds,
            echo_bytes=runs.echo_bytes(trigger),
        )

    def _resolve(self, trigger: Trigger, verdict: Outcome | Conflict | Doubt | Ailing) -> Outcome:
        match verdict:
            case Started():
                return replace(verdict, is_paused=self._paused.ask(self._session(), trigger.call.dag_id))
            case Conflict():
                return self._resolve_conflict(trigger, verdict)
            case Doubt():
                return self._resolve_doubt(trigger, verdict)
            case Ailing():
                return self._unless_down(answers.after_ailing(verdict))
            case _:
                outcome = self._unless_refuted(verdict)
                return as_look(outcome) if verdict.reason in answers.REFUSALS else outcome

    def _resolve_conflict(self, trigger: Trigger, conflict: Conflict) -> Outcome:
        found = self._read_back(trigger)
        if isinstance(found, dict):
            return runs.judge_taken(found, trigger)
        if found is None:
            # Deleted meanwhile; or something else of it clashed, which only a person can find out.
            detail = f"no run with this id was found after {conflict.detail}"
            return Later(Reason.RUN_ID_CONFLICT, detail, attempts_allowed=answers.FEW_ATTEMPTS, http_status=409)
        return found

    def _resolve_doubt(self, trigger: Trigger, doubt: Doubt) -> Outcome:
        found = self._read_back(trigger)
        if isinstance(found, dict):
            outcome = runs.judge_existing(found, trigger)
            return replace(outcome, http_status=200) if isinstance(outcome, AlreadyThere) else outcome
        if found is None:
            lost = Later(
                Reason.ANSWER_LOST,
                doubt.detail,
                attempts_allowed=doubt.attempts_allowed,
                http_status=doubt.http_status,
            )
            found = self._unless_down(lost)
        # The call may have arrived, and the place went down: perhaps of it.
        return replace(found, is_suspect=True) if isinstance(found, TargetDown) else found

    def _read_back(self, trigger: Trigger) -> dict[str, Any] | Outcome | None:
        """Return the DAG run with our id, None if there is none, or the outcome if Airflow does not say."""
        call = trigger.call
        echo_bytes = max(runs.echo_bytes(trigger), _COPIES * self._target.max_conf_bytes)
        answer = self._session().call("GET", "dags", call.dag_id, "dagRuns", call.dag_run_id, echo_bytes=echo_bytes)
        if isinstance(answer, Failure):
            return self._unless_refuted(answers.after_failure(answer))
        if not isinstance(answer, Answer):
            return answer
        run = answer.object()
        if answer.status == 200 and run.get("dag_run_id") == trigger.call.dag_run_id:
            return run
        if listing.is_gone(answer) or answers.knows_no_dag(answer):
            return None
        if answer.status == 500 or (answer.status == 200 and answer.is_json):
            # One run that Airflow cannot tell of must not hold up all others.
            return self._unless_down(
                answers.after_ailing(Ailing(answers.message(answer), answer.status, answers.FEW_ATTEMPTS))
            )
        problem = answers.after_question(answer)
        return self._unless_refuted(
            problem or Misconfigured(Reason.AIRFLOW_MISCONFIGURED, answers.message(answer), http_status=answer.status)
        )

    def _unless_refuted(self, outcome: Outcome) -> Outcome:
        """Return `outcome`; one that is about the whole place only if the place confirms it."""
        is_whole = isinstance(outcome, TargetDown) or (isinstance(outcome, Misconfigured) and outcome.is_whole_target)
        return self._unless_down(outcome) if is_whole else outcome

    def _unless_down(self, outcome: Outcome) -> Outcome:
        """Return what is wrong with the place, or what `outcome` means if nothing is."""
        return self._place.problem() or answers.refuted(outcome)
