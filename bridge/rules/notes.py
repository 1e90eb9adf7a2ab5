"""What is only worth a note among what could need a person: what is meant, and what a stranger can cause. Pure.

refused   anybody can send a wrong signature. It looks like our secret when there are at least three, over five
          minutes, and nothing right has come from that source since the first of them
held      for a paused DAG, as the route says; until a day before such a hold is over
dag       paused, while each of its routes provides for that, or is paused here
paused    by a person, for less than a day or until an instant
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from bridge.rules.mapping import Route
from bridge.rules.pauses import Pauses
from bridge.words.causes import Group, Refused
from bridge.words.holds import IfPaused
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason

BY_STRANGERS = "Nothing, if strangers sent them: `planasonix-bridge refusals` has their addresses. Else: "
# Whoever has no secret can cause these: one of them says nothing of ours.
_ANYBODYS = frozenset(
    {Reason.SIGNATURE_MALFORMED, Reason.SIGNATURE_MISMATCH, Reason.CLAIMS_MISMATCH, Reason.KEYS_UNAVAILABLE}
)
SCANS = frozenset({Reason.SIGNATURE_MISSING})  # every public address gets these
_LASTING = timedelta(minutes=5)  # a sender tries again for longer than that
_ENOUGH = 3  # refusals; never a verdict from one sample


def is_anybodys(each: Refused, *, heard: datetime | None) -> bool:
    """Whether refusals need nobody: a stranger may have sent them. `heard`: when the source last sent something right.

    A wrong secret looks otherwise: they last, and nothing right has come since the first of them.
    """
    is_lasting = each.count >= _ENOUGH and each.newest_at - each.oldest_at >= _LASTING
    is_our_secret = is_lasting and (heard is None or heard < each.oldest_at)
    return Reason.of(each.reason) in _ANYBODYS and not is_our_secret


def is_meant(group: Group) -> bool:
    """Whether a group is held as its route says."""
    return group.state is TriggerState.HELD and group.reason is Reason.DAG_PAUSED


def expected_pauses(routes: Iterable[Route], pauses: Pauses) -> frozenset[tuple[str, str]]:
    """Return Airflow and id of the DAGs that may be paused: each of their routes says what then, or is paused here."""
    found: dict[tuple[str, str], bool] = {}
    for route in routes:
        is_paused = pauses.of_trigger(route=route.name, airflow=route.airflow) is not None
        for dag_id in route.dags if route.enabled else ():
            place = (route.airflow, dag_id)
            found[place] = found.get(place, True) and (is_paused or route.if_paused is not IfPaused.TRIGGER)
    return frozenset(place for place, is_expected in found.items() if is_expected)
