"""Whether Airflow has what was asked for: for each trigger, and for each run that nobody asked for. Pure.

ok        the run is there, as it was asked for; or none is wanted any more: a copy, cancelled, run again
waiting   unfinished: not routed yet, pending, held or being fired
missing   acknowledged, and there is no run: the trigger failed, or the store has lost what the delivery asked for
deleted   the run was there, and Airflow has it no more
changed   the run is there, and its conf or its id is not what was asked for
extra     a run with the bridge's marker that no trigger of the store owns

Of a run that a person started again, the newest trigger counts.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from bridge.rules.completion import DEFAULT_PREFIX, is_same_run
from bridge.words.model import Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunSeen

_SHOWN = 100  # characters of what a conf of anybody's says
_OPERATOR = "operator"  # Airflow's word for a DAG that starts another one, perhaps with the conf that it was given


class Result(StrEnum):
    """How the store and Airflow agree on one run."""

    OK = "ok"
    WAITING = "waiting"
    MISSING = "missing"
    EXTRA = "extra"
    DELETED = "deleted"
    CHANGED = "changed"


OFF = frozenset({Result.MISSING, Result.EXTRA, Result.DELETED, Result.CHANGED})


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, and of what. What a lost row would tell is None."""

    result: Result
    detail: str
    delivery_id: str | None = None
    trigger_id: str | None = None
    route: str | None = None
    airflow: str | None = None
    dag_id: str | None = None
    dag_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """Runs of one DAG that Airflow does not let us look at, although it tells of others: the first, and how many."""

    airflow: str
    dag_id: str
    dag_run_id: str
    why: str
    runs: int = 1


@dataclass(slots=True)
class Report:
    """What was compared, and all that is off.

    `unasked`: by Airflow, why it could not be asked. `unread`: by Airflow and DAG, the runs that it does not tell of.
    """

    since: datetime
    until: datetime
    deliveries: Counter[str] = field(default_factory=Counter)  # by state
    results: Counter[Result] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)  # by state and reason
    findings: list[Finding] = field(default_factory=list)
    unasked: dict[str, str] = field(default_factory=dict)
    unread: dict[tuple[str, str], Unread] = field(default_factory=dict)
    requests: int = 0

    @property
    def is_well(self) -> bool:
        """Whether nothing is off, and everything could be asked."""
        return not self.findings and not self.unasked and not self.unread

    def add(self, finding: Finding) -> None:
        """Count what was found, and keep it if it is off."""
        self.results[finding.result] += 1
        if finding.result is Result.WAITING:
            self.waiting[finding.detail] += 1
        if finding.result in OFF:
            self.findings.append(finding)

    def leave(self, airflow: str, ask: "Asked", why: str) -> None:
        """Count a run that could not be looked at."""
        key = airflow, ask.dag_id
        before = self.unread.get(key)
        first = Unread(airflow, ask.dag_id, ask.dag_run_id, why)
        self.unread[key] = first if before is None else replace(before, runs=before.runs + 1)


@dataclass(frozen=True, slots=True)
class Asked:
    """A trigger as far as it matters here: small, since a time may hold many. `digest` is of its conf.

    None: the conf was erased or cannot be decrypted. `marker` is kept where the run may be that of a copy.
    """

    id: str
    delivery_id: str
    route: str
    airflow: str
    dag_id: str
    dag_run_id: str
    state: TriggerState
    reason: Reason | None
    digest: bytes | None
    marker: Mapping[str, Any] | None
    is_replaced: bool  # a person had it run again

    @property
    def is_live(self) -> bool:
        """Whether it stands for its DAG run."""
        return self.state not in (TriggerState.CANCELLED, TriggerState.FAILED)


def asked(trigger: Trigger, *, is_replaced: bool) -> Asked:
    """Return what a trigger asked for."""
    call = trigger.call
    marker = call.conf.get("planasonix")
    may_be_of_a_copy = trigger.reason is Reason.SAME_COMPLETION and isinstance(marker, Mapping)
    return Asked(
        id=trigger.id,
        delivery_id=trigger.delivery_id,
        route=call.route,
        airflow=call.airflow,
        dag_id=call.dag_id,
        dag_run_id=call.dag_run_id,
        state=trigger.state,
        reason=trigger.reason,
        digest=digest(call.conf) if isinstance(marker, Mapping) else None,
        marker=marker if may_be_of_a_copy else None,
        is_replaced=is_replaced,
    )


def judge(ask: Asked, run: RunSeen | None, *, is_owned: bool = False) -> Finding:
    """Return what is found of a trigger; `run` is what Airflow has under its DAG run id.

    `is_owned`: another trigger, which is live, stands for that run.
    """
    why = f" ({ask.reason})" if ask.reason else ""
    match ask.state:
        case TriggerState.CANCELLED:
            return _found(ask, Result.OK, f"cancelled{why}")
        case TriggerState.FAILED:
            if ask.is_replaced or is_owned or (run is not None and _trigger_of(run) == ask.id):
                return _found(ask, Result.OK, f"failed{why}, and its run is there all the same")
            return _found(ask, Result.MISSING, f"failed{why}")
        case TriggerState.FIRED:
            return _of_fired(ask, run)
        case _:
            return _found(ask, Result.WAITING, f"{ask.state}{why}")


def renamed(ask: Asked, run: RunSeen) -> Finding:
    """Return what is found of a fired trigger whose run has another id."""
    return _found(ask, Result.CHANGED, f"its run is called {run.dag_run_id}")


def lost(delivery_id: str) -> Finding:
    """Return what is found of a routed delivery without triggers: routing stores them together with its state."""
    return Finding(Result.MISSING, "routed, and the store has no trigger of it", delivery_id)


def ownerless(run: RunSeen, airflow: str, why: str) -> Finding:
    """Return what is found of a run that nobody asked for."""
    marker = marker_of(run)
    names = ("delivery_id", "trigger_id", "route")
    words = {name: value[:_SHOWN] for name in names if isinstance(value := marker.get(name), str)}
    by = f" (started by {run.triggered_by})" if run.triggered_by else ""
    return Finding(Result.EXTRA, why + by, airflow=airflow, dag_id=run.dag_id, dag_run_id=run.dag_run_id, **words)


def is_marked(run: RunSeen) -> bool:
    """Whether a run says that the bridge started it: by its conf, or by the beginning of its id.

    Not one that another DAG has started, which may well pass its own conf on.
    """
    return run.triggered_by != _OPERATOR and bool(marker_of(run) or run.dag_run_id.startswith(DEFAULT_PREFIX))


def marker_of(run: RunSeen) -> Mapping[str, Any]:
    """Return the `planasonix` of a run's conf; empty without one."""
    marker = run.conf.get("planasonix")
    return marker if isinstance(marker, Mapping) else {}


def digest(conf: Mapping[str, Any]) -> bytes:
    """Return what two confs share if a database between them may have spelled the one as the other."""
    text = json.dumps(_plain(conf), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _of_fired(ask: Asked, run: RunSeen | None) -> Finding:
    if run is None and ask.is_replaced:
        return _found(ask, Result.OK, "a person had it run again")
    if run is None:
        return _found(ask, Result.DELETED, "it was started, and Airflow has no such run any more")
    made_by = _trigger_of(run)
    if made_by == ask.id:
        if ask.digest is None or _has_digest(run.conf, ask.digest):
            return _found(ask, Result.OK, "as it was asked for")
        return _found(ask, Result.CHANGED, "its conf is not what was asked for")
    if ask.marker is not None and is_same_run(ask.marker, marker_of(run), run_id=ask.dag_run_id):
        return _found(ask, Result.OK, f"started by {made_by} for the same completion")
    owner = f"of trigger {made_by[:_SHOWN]}" if made_by else "of no trigger"
    return _found(ask, Result.CHANGED, f"its conf is that {owner}")


def _found(ask: Asked, result: Result, detail: str) -> Finding:
    run_id = ask.dag_run_id or None
    return Finding(result, detail, ask.delivery_id, ask.id, ask.route, ask.airflow, ask.dag_id, run_id)


def _trigger_of(run: RunSeen) -> str | None:
    made_by = marker_of(run).get("trigger_id")
    return made_by if isinstance(made_by, str) else None


def _has_digest(conf: Mapping[str, Any], expected: bytes) -> bool:
    """Compare a conf that anybody may have made: one that is nested too deep is none of ours."""
    try:
        return digest(conf) == expected
    except RecursionError:
        return False


def _plain(value: Any) -> Any:
    """Return a JSON value in one spelling: PostgreSQL's `jsonb` makes 10000000000000000000000 of 1e22."""
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int):
        return _rounded(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _rounded(value: int) -> int:
    """Beyond 2**53 JSON's readers disagree about integers; up to there each is a float's own."""
    try:
        return int(float(value))
    except OverflowError:
        return value
