"""The spare name of a DAG run: what it is called if the run of another completion has its usual name. Pure.

The name must be the same whenever it is asked for, so that whatever comes of the completion later finds the run.
"""

from collections.abc import Mapping
from typing import Any

from bridge.rules import completion
from bridge.rules.completion import Completion
from bridge.rules.mapping.runs import run_id


def spare(dag_run_id: str, of: Completion) -> str:
    """Return the usual DAG run id with a digest of the completion."""
    return run_id(f"{dag_run_id}--{of.digest}")


def is_of_the_route(ours: Mapping[str, Any], theirs: Mapping[str, Any], *, dag_run_id: str) -> bool:
    """Say whether a DAG run under a route's own name was made for that route: the name is the identity of its runs.

    `ours` and `theirs` are the `planasonix` of two confs. Not under a name that begins as the bridge's own do, nor for
    what names no source (the release before) or no trigger.
    """
    is_same_route = all(ours.get(name) and ours.get(name) == theirs.get(name) for name in ("route", "source"))
    return is_same_route and bool(theirs.get("trigger_id")) and not dag_run_id.startswith(completion.DEFAULT_PREFIX)


def spare_beside(ours: Mapping[str, Any], theirs: Mapping[str, Any], *, dag_run_id: str) -> str | None:
    """Return the spare name for a DAG run whose usual one was taken by a run of the same route, for another completion.

    `ours` and `theirs` are the `planasonix` of two confs. None wherever anything else is unclear: what the release
    before has made, a route's own name, a spare name, a name for which a person asked, a conf that somebody wrote,
    and what only the source's name tells apart: another bridge may call the same source otherwise.
    """
    own, other = completion.of_conf(ours), completion.of_conf(theirs)
    is_alike = all(ours.get(name) and ours.get(name) == theirs.get(name) for name in ("route", "status"))
    if not (is_alike and other.id) or completion.is_same(own, theirs, source=None):
        return None
    is_same_event = ours.get("event_id") is not None and ours.get("event_id") == theirs.get("event_id")
    return None if is_same_event or completion.is_same_elsewhere(own, other) else spare_of(ours, dag_run_id=dag_run_id)


def spare_of(ours: Mapping[str, Any], *, dag_run_id: str) -> str | None:
    """Return the spare name for a DAG run under its usual one; None under any other name, or if nobody can say.

    `ours` is the `planasonix` of its conf.
    """
    own = completion.of_conf(ours)
    about = next((ours[name] for name in ("run_id", "job_id", "event_id", "delivery_id") if ours.get(name)), None)
    is_usual = dag_run_id == run_id(completion.default_run_id(str(about), own.status, str(ours.get("route"))))
    return spare(dag_run_id, own) if is_usual and own.source and own.id else None
