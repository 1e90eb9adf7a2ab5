"""Which ids a delivery names, however little of it can be read. Pure.

Routing reads the same ids, and keeps them as the delivery's completion. This is for what routing has not settled.
"""

import json
import re
from dataclasses import replace

from bridge.rules import event as events
from bridge.rules.planning import Subject, own_event
from bridge.words.errors import Unreadable
from bridge.words.model import Event

TEXT = "text"
_IN_IDS = "[A-Za-z0-9_.:-]"


def kind_of(id_: str, subject: Subject) -> str | None:
    """Return what the id is to a delivery: its event, job, run, backfill or pipeline; None if it does not name it.

    `text`: the delivery has the id in it, and contradicts itself or cannot be read, so nobody knows as what.
    """
    event = _event(subject)
    if event is None:
        return TEXT if _stands_in(id_, subject) else None
    named = {
        "event": event.id,
        "job": event.job_id,
        "run": event.run_id,
        "backfill": event.backfill_id,
        "pipeline": event.pipeline_id,
    }
    return next((kind for kind, value in named.items() if value == id_), None)


def _event(subject: Subject) -> Event | None:
    event = own_event(replace(subject, path_pipeline_id=None))  # a URL that contradicts the body hides nothing
    if event is None or subject.lookup is None:
        return event
    try:
        return events.merge(event, subject.lookup, spelling=subject.spelling)
    except Unreadable:
        return None


def _stands_in(id_: str, subject: Subject) -> bool:
    whole_id = re.compile(f"(?<!{_IN_IDS}){re.escape(id_)}(?!{_IN_IDS})")
    places = (subject.body.decode("utf-8", "replace"), json.dumps(subject.lookup, ensure_ascii=False))
    return any(whole_id.search(place) for place in places)
