"""Fill an event with what the Planasonix API says about its job."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.rules.event import grammar, statuses
from bridge.rules.event.reading import facts, status_words
from bridge.words.errors import Unreadable
from bridge.words.model import Event, Status
from bridge.words.reasons import Reason

_MUST_AGREE = ("pipeline_id", "connection_id", "job_id", "status")


def merge(event: Event, job: Mapping[str, Any]) -> Event:
    """Return the event with what it left out taken from `job` (the API's flat object, either casing).

    What the signed body said is never overwritten. Raises Unreadable: CONTRADICTION when pipeline, connection,
    job or status differ, UNREADABLE_FIELD when the API spells one of them wrongly. A job that the API still
    calls running contradicts nothing: its answer may be older than the event.
    """
    job_facts = facts((job,))
    if job_facts["job_id"] is None and job.get("id") is not None:
        job_facts["job_id"] = grammar.as_id(job["id"], "id")
    words = status_words((job,))
    status = statuses.settle(words, None)
    job_facts["status"] = status if isinstance(status, Status) else None
    job_facts["status_word"] = words[0] if words else None
    known = _forget_guess(event, job_facts["status"])
    for name in _MUST_AGREE:
        ours, theirs = getattr(known, name), job_facts[name]
        if ours is not None and theirs is not None and ours != theirs:
            raise Unreadable(Reason.CONTRADICTION, f"The Planasonix API names another `{name}` than the event.")
    if known.status is not None or known.status_word is not None or known.is_running:
        del job_facts["status"], job_facts["status_word"]
    # `in (None, {})`: parameters and metadata that the webhook lacks are empty objects.
    return replace(known, **{name: job_facts[name] for name in job_facts if getattr(known, name) in (None, {})})


def _forget_guess(event: Event, job_status: Status | None) -> Event:
    """Drop a status that only a neutral type (`job.completed`) suggested, once the API tells the real one."""
    is_guess = event.status_word is None and statuses.is_neutral(event.type)
    return replace(event, status=None) if is_guess and job_status is not None else event
