"""What needs a person, and what passes by itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import attention, notes, standing
from bridge.rules.attention import Facts, Need, needs, place
from bridge.rules.conforming import lacking
from bridge.rules.mapping import read
from bridge.rules.pauses import Pauses
from bridge.rules.signature import Key
from bridge.rules.troubles import Trouble, of_files, of_keys, of_silences
from bridge.words.backlog import Waiting
from bridge.words.causes import Group, Odd, Refused
from bridge.words.dags import DagParams, DagState, KnownDag
from bridge.words.errors import Problem
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.pauses import Pause, PauseKind
from bridge.words.reasons import Reason
from bridge.words.runs import RunState
from bridge.words.silences import Silence

NOW = datetime(2025, 3, 27, 3, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FAILED = Group(
    state=TriggerState.FAILED,
    run_state=None,
    reason=Reason.TEMPLATE,
    route="orders",
    dag_id="load",
    airflow="default",
    count=500,
    oldest_at=NOW - 3 * DAY,
    newest_at=NOW - 2 * DAY,
    example="trg_9",
    first_at=NOW - HOUR,
    last_at=NOW - MINUTE,
)
HELD = replace(FAILED, state=TriggerState.HELD, reason=Reason.AIRFLOW_DOWN, count=7)
RAN = replace(FAILED, state=TriggerState.FIRED, reason=None, run_state=RunState.FAILED)
DOWN = Trouble("airflow_down", "default", "it is down", "wait", reason=Reason.AIRFLOW_DOWN)
ODD = Odd(DeliveryState.INVALID, Reason.UNREADABLE_JSON, "planasonix", 3, NOW - HOUR, NOW - MINUTE, "dlv_1")
REFUSED = Refused("planasonix", "signature_mismatch", 12, NOW - HOUR, NOW - MINUTE)
SLOW = Waiting(DeliveryState.RECEIVED, 4, NOW - HOUR, source="planasonix", reason=Reason.LOOKUP_FAILED)
PAUSE = Pause(PauseKind.ROUTE, "orders", "cli:alice", NOW - 2 * DAY)
PARKED = replace(HELD, reason=Reason.DAG_PAUSED)
DAG = KnownDag("default", "load", DagState.MISSING, NOW - HOUR, NOW)


def test_nothing_is_nothing() -> None:
    """All is well."""
    assert needs(Facts(NOW)) == []
    assert attention.view([]) == {"is_well": True, "needs": [], "notes": []}


def test_each_says_what_since_when_how_many_and_the_next_step() -> None:
    """In the order of how much stands still; 500 failures are one line."""
    facts = Facts(
        NOW,
        groups=[FAILED, RAN],
        odd=[ODD],
        waiting=[SLOW],
        refused=[REFUSED],
        dags=[DAG],
        pauses=[(PAUSE, False)],
        troubles=[DOWN],
    )
    found = needs(facts)
    assert [(need.what, need.count, need.since) for need in found] == [
        ("airflow_down", 1, None),
        ("refused", 12, NOW - HOUR),
        ("waiting", 4, NOW - HOUR),
        ("invalid", 3, NOW - HOUR),
        ("failed", 500, NOW - HOUR),
        ("run_failed", 500, NOW - HOUR),
        ("dag", 1, NOW - HOUR),
        ("paused", 1, NOW - 2 * DAY),
    ]
    assert all(need.says and need.next_step and need.about for need in found)
    shown = attention.view(found)
    assert (shown["is_well"], shown["needs"][4]["since"]) == (False, "2025-03-27T02:00:00.000Z")
    assert shown["needs"][4]["next_step"] == Reason.TEMPLATE.next_step


def test_what_waits_for_an_airflow_that_is_down_is_part_of_that() -> None:
    """One line, with how many wait and since when; another cause, or another Airflow, is a line of its own."""
    other = replace(HELD, reason=Reason.LOOP_GUARD)
    elsewhere = replace(HELD, airflow="second")
    first, *rest = needs(Facts(NOW, groups=[HELD, other, elsewhere], troubles=[DOWN]))
    assert (first.what, first.count, first.since) == ("airflow_down", 7, NOW - HOUR)
    assert first.filter == {"state": "held", "airflow": "default"}
    assert [need.what for need in rest] == ["held", "held"]


def _of_a_group(group: Group) -> Facts:
    return Facts(NOW, groups=[group])


@pytest.mark.parametrize(
    ("facts", "is_needed"),
    [
        (_of_a_group(HELD), True),
        (_of_a_group(replace(HELD, reason=Reason.PAUSED_BY_PERSON, first_at=NOW - DAY)), False),
        (_of_a_group(replace(HELD, reason=Reason.HOURLY_CEILING, first_at=NOW - HOUR + MINUTE)), False),
        (_of_a_group(replace(HELD, reason=Reason.HOURLY_CEILING, first_at=NOW - HOUR)), True),
        (_of_a_group(replace(RAN, last_at=NOW - DAY)), True),
        (_of_a_group(replace(RAN, last_at=NOW - DAY - MINUTE)), False),
        (_of_a_group(replace(FAILED, last_at=NOW - 9 * DAY)), True),
        (Facts(NOW, waiting=[replace(SLOW, oldest_at=NOW - 15 * MINUTE)]), True),
        (Facts(NOW, waiting=[replace(SLOW, oldest_at=NOW - 14 * MINUTE)]), False),
        (Facts(NOW, waiting=[replace(SLOW, reason=Reason.PAUSED_BY_PERSON)]), False),
        (Facts(NOW, waiting=[replace(SLOW, state=TriggerState.HELD)]), False),
        (Facts(NOW, waiting=[replace(SLOW, state=TriggerState.PENDING, source="", airflow="a", reason=None)]), True),
        (Facts(NOW, refused=[replace(REFUSED, newest_at=NOW - HOUR, oldest_at=NOW - DAY)]), True),
        (Facts(NOW, refused=[replace(REFUSED, newest_at=NOW - HOUR - MINUTE, oldest_at=NOW - DAY)]), False),
        (Facts(NOW, refused=[replace(REFUSED, reason="signature_missing")]), False),
        (Facts(NOW, refused=[replace(REFUSED, reason="word_of_a_newer_release")]), False),
        (Facts(NOW, odd=[replace(ODD, newest_at=NOW - DAY - MINUTE)]), False),
        (Facts(NOW, dags=[replace(DAG, state=DagState.OK)]), False),
        (Facts(NOW, dags=[replace(DAG, state=DagState.PAUSED)]), True),
        (Facts(NOW, dags=[replace(DAG, state=DagState.PAUSED)], expected={("default", "load")}), False),
        (Facts(NOW, dags=[DAG], expected={("default", "load")}), True),
        (_of_a_group(PARKED), False),
        (Facts(NOW, groups=[PARKED], ending={"default": 1}), True),
        (Facts(NOW, groups=[PARKED], ending={"default": 0, "other": 1}), False),
        (_of_a_group(replace(PARKED, state=TriggerState.FAILED)), True),
        (Facts(NOW, pauses=[(replace(PAUSE, ends_at=NOW + DAY), False)]), False),
        (Facts(NOW, pauses=[(replace(PAUSE, paused_at=NOW - DAY), False)]), True),
        (Facts(NOW, pauses=[(replace(PAUSE, paused_at=NOW - DAY + MINUTE), False)]), False),
        (Facts(NOW, pauses=[(replace(PAUSE, ends_at=NOW + DAY), True)]), True),
    ],
)
def test_what_passes_by_itself_needs_nobody(facts: Facts, is_needed: bool) -> None:
    """A pause has its own line, and a stranger's request without a signature says nothing of our secrets."""
    assert bool(needs(facts)) is is_needed


def test_a_pause_is_a_note_until_it_needs_somebody() -> None:
    """With who paused what, until when and why; what it holds back is not started, and that is said at once."""
    meant = replace(PAUSE, paused_at=NOW - MINUTE, ends_at=NOW + HOUR, reason="a move")
    (note,) = attention.everything(Facts(NOW, pauses=[(meant, False)]))
    assert (note.what, note.about, note.since, note.is_note) == ("paused", "route orders", NOW - MINUTE, True)
    assert (note.says, note.ends_at) == ("route orders is paused by cli:alice: a move", NOW + HOUR)
    assert "planasonix-bridge resume route orders" in note.next_step
    (endless,) = attention.everything(Facts(NOW, pauses=[(replace(meant, ends_at=None), False)]))
    assert endless.says == "route orders is paused by cli:alice until somebody resumes it: a move"
    (need,) = attention.everything(Facts(NOW, pauses=[(PAUSE, False)]))
    assert (need.is_note, need.says) == (False, "route orders is paused by cli:alice, and has no end")


SHORT = replace(REFUSED, oldest_at=NOW - 6 * MINUTE)


@pytest.mark.parametrize(
    ("refused", "heard", "is_needed"),
    [
        (SHORT, None, True),
        (SHORT, NOW - 7 * MINUTE, True),
        (SHORT, NOW - 5 * MINUTE, False),
        (SHORT, NOW - 6 * MINUTE, False),
        (replace(SHORT, count=3), None, True),
        (replace(SHORT, count=2), None, False),
        (replace(SHORT, newest_at=NOW - MINUTE - timedelta(seconds=1)), None, False),
        (replace(SHORT, reason="signature_malformed", count=1), None, False),
        (replace(SHORT, reason="claims_mismatch", count=1), None, False),
        (replace(SHORT, reason="keys_unavailable", count=1), None, False),
        (replace(SHORT, reason="key_out_of_time", count=1), NOW, True),
        (replace(SHORT, reason="timestamp_in_future", count=1), NOW, True),
    ],
)
def test_a_stranger_cannot_call_a_person(refused: Refused, heard: datetime | None, is_needed: bool) -> None:
    """A wrong signature that anybody can send is a note, until it lasts and nothing right comes. It is said, too.

    What only whoever has the secret can cause is said at once.
    """
    facts = Facts(NOW, refused=[refused], heard={} if heard is None else {"planasonix": heard})
    assert bool(needs(facts)) is is_needed
    (said,) = attention.everything(facts)
    assert (said.what, said.is_note, said.next_step.startswith("Nothing, if strangers")) == (
        "refused",
        not is_needed,
        not is_needed,
    )


def test_a_note_is_no_reason_to_be_red() -> None:
    """All is well, and the note is said."""
    shown = attention.view(attention.everything(Facts(NOW, groups=[PARKED])))
    assert (shown["is_well"], shown["needs"], [note["what"] for note in shown["notes"]]) == (True, [], ["held"])
    assert "is_note" not in shown["notes"][0]


def test_what_has_no_line_of_its_own_is_said() -> None:
    """One line for all smaller groups of a kind: the only one that needs a person may be the smallest."""
    many = [replace(PARKED, dag_id=f"dag_{number}") for number in range(standing.MOST_LINES)]
    assert needs(Facts(NOW, groups=many)) == []
    small = replace(FAILED, count=2, first_at=NOW - DAY, example="trg_small")
    least = replace(FAILED, count=1, last_at=NOW)
    shown = attention.view(attention.everything(Facts(NOW, groups=[*many, small, replace(PARKED, count=3), least])))
    assert (shown["is_well"], len(shown["notes"])) == (False, standing.MOST_LINES + 1)
    (need,) = shown["needs"]
    assert (need["what"], need["about"], need["count"], need["example"]) == ("failed", "smaller causes", 3, "trg_small")
    assert (need["since"], need["newest"]) == ("2025-03-26T03:00:00.000Z", "2025-03-27T03:00:00.000Z")
    assert (shown["notes"][-1]["what"], shown["notes"][-1]["count"]) == ("held", 3)


def test_a_count_of_the_newest_alone_is_a_note() -> None:
    """It calls nobody: what is counted does, if it has to."""
    held = replace(HELD, reason=Reason.PAUSED_BY_PERSON)
    (need,) = attention.everything(Facts(NOW, groups=[held, replace(FAILED, count=1, reason=None)], is_whole=False))[1:]
    assert (need.what, need.about, need.count, need.is_note) == ("held", "more than is counted", 7, True)


def test_what_is_held_for_a_dag_and_the_dag_are_one_line() -> None:
    """They have the same next step."""
    away = replace(HELD, reason=Reason.DAG_NOT_FOUND)
    assert [need.what for need in needs(Facts(NOW, groups=[away], dags=[DAG]))] == ["held"]
    assert [need.what for need in needs(Facts(NOW, groups=[replace(away, dag_id="other")], dags=[DAG]))] == [
        "held",
        "dag",
    ]


@pytest.mark.parametrize("is_expected", [True, False])
@pytest.mark.parametrize("state", [DagState.MISSING, DagState.STALE, DagState.BROKEN, DagState.PAUSED])
@pytest.mark.parametrize(
    "reason",
    [
        Reason.DAG_NOT_FOUND,
        Reason.DAG_REFUSES_RUNS,
        Reason.DAG_PAUSED,
        Reason.PAUSED_BY_PERSON,
        Reason.HOURLY_CEILING,
        Reason.THROTTLED,
        Reason.LOOP_GUARD,
    ],
)
def test_what_is_held_for_another_reason_hides_no_dag(reason: Reason, state: DagState, is_expected: bool) -> None:
    """Nor does a note hide a need: a pause that one route provides for says nothing of the other's runs."""
    is_gone, is_meant = state is not DagState.PAUSED, state is DagState.PAUSED and is_expected
    facts = Facts(
        NOW,
        groups=[replace(HELD, reason=reason, first_at=NOW)],
        dags=[replace(DAG, state=state)],
        expected={("default", "load")} if is_expected else (),
    )
    says_same = reason in (Reason.DAG_NOT_FOUND, Reason.DAG_REFUSES_RUNS) if is_gone else reason is Reason.DAG_PAUSED
    is_said = says_same and (is_gone or is_meant)
    lines = [each.is_note for each in attention.everything(facts) if each.what == "dag"]
    assert lines == [is_meant] * (not is_said)
    assert needs(facts) or is_meant


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (DagState.MISSING, "Airflow does not know it"),
        (DagState.STALE, "it is no longer in its file"),
        (DagState.BROKEN, "its file has an import error"),
        (DagState.PAUSED, "it is paused: Airflow keeps its runs queued"),
    ],
)
def test_a_dag_that_starts_nothing_is_said_with_what_to_do(state: DagState, says: str) -> None:
    """The sentence says what is so; the next step is another one."""
    (need,) = needs(Facts(NOW, dags=[replace(DAG, state=state)]))
    assert (need.about, need.says, need.reason) == ("load at default", f"DAG load: {says}", str(state))
    assert need.next_step not in ("", says)


def test_what_is_not_whole_and_empty_says_nothing_of_its_kind() -> None:
    """A filter may have no group among what was counted."""
    assert not [each for each in needs(Facts(NOW, groups=[], is_whole=False)) if each.about == "more than is counted"]


WANTS = """
routes:
  - {name: bare, pipeline: a, dag: load}
  - {name: full, pipeline: b, dag: load, conf: {day: "1", hour: "2"}}
  - {name: half, pipeline: c, dag: [load, other], conf: {hour: "2"}}
  - {name: off, pipeline: d, dag: load, enabled: false}
"""


@pytest.mark.parametrize(
    ("state", "is_said"), [(DagState.OK, True), (DagState.PAUSED, True), (DagState.MISSING, False)]
)
def test_a_param_that_a_route_leaves_out_is_said_before_an_event_comes(state: DagState, is_said: bool) -> None:
    """A line for each route that is on, while the DAG is there; its first run would fail as `conf_refused`."""
    routes = read(WANTS, file="mapping.yaml", airflows=["default"], sources=[]).routes
    found = lacking(routes, {("default", "load"): DagParams({}, ("hour", "day"), NOW)})
    known = replace(DAG, state=state)
    lines = [each for each in needs(Facts(NOW, dags=[known], lacking=found)) if each.reason == "lacks_params"]
    assert [(each.what, each.about, each.says) for each in lines] == [
        ("dag", "bare -> load at default", "DAG load: route bare: conf lacks the DAG's required params day, hour"),
        ("dag", "half -> load at default", "DAG load: route half: conf lacks the DAG's required params day"),
    ] * is_said


MAPPING = """
routes:
  - {name: waits, pipeline: a, dag: parked, if_paused: hold}
  - {name: fails, pipeline: b, dag: parked, if_paused: fail}
  - {name: usual, pipeline: a, dag: usual}
  - {name: asks, pipeline: a, dag: both, if_paused: hold}
  - {name: does_not, pipeline: a, dag: both}
  - {name: off, pipeline: a, dag: parked, enabled: false}
"""


def test_a_dag_may_be_paused_where_each_of_its_routes_provides_for_it() -> None:
    """By `if_paused`, or by being paused itself, or with its Airflow; a route that is off has no say."""
    routes = read(MAPPING, file="mapping.yaml", airflows=["default"], sources=[]).routes
    parked, usual, both = (("default", name) for name in ("parked", "usual", "both"))
    assert notes.expected_pauses(routes, Pauses()) == {parked}
    item = [Pause(PauseKind.ROUTE, "usual", "cli:alice", NOW), Pause(PauseKind.ROUTE, "asks", "cli:alice", NOW)]
    assert notes.expected_pauses(routes, Pauses(item)) == {parked, usual}
    whole = [Pause(PauseKind.AIRFLOW, "default", "cli:alice", NOW)]
    assert notes.expected_pauses(routes, Pauses(whole)) == {parked, usual, both}


@pytest.mark.parametrize("reason", [Reason.SAME_EVENT, Reason.STATUS_UNKNOWN])
def test_what_is_ignored_and_nobody_meant_to_be_is_said_by_its_name(reason: Reason) -> None:
    """Never a silent no."""
    odd = replace(ODD, state=DeliveryState.IGNORED, reason=reason)
    (need,) = needs(Facts(NOW, odd=[odd]))
    assert (need.what, need.filter) == (
        str(reason),
        {"state": "ignored", "source": "planasonix", "reason": str(reason)},
    )
    assert place(need.what, need.filter)[0] == "/deliveries"


def test_what_its_deadline_has_cancelled_is_said() -> None:
    """It was accepted and never ran: a line of its own, with the list of them."""
    late = replace(FAILED, state=TriggerState.CANCELLED, reason=Reason.TOO_LATE, count=2)
    (need,) = needs(Facts(NOW, late=[late]))
    assert (need.what, need.count, need.about) == ("too_late", 2, "orders -> load at default")
    page, chosen = place(need.what, need.filter)
    assert (page, chosen["state"], chosen["reason"], chosen["route"]) == (
        "/deliveries",
        "cancelled",
        "too_late",
        "orders",
    )


def test_what_another_completion_stands_for_is_said() -> None:
    """It was accepted and never ran: a line of its own, with the list of what that route did not start."""
    copies = [replace(FAILED, state=TriggerState.CANCELLED, reason=Reason.DUPLICATE_RUN, count=2)]
    (need,) = needs(Facts(NOW, repeated=copies))
    assert (need.what, need.count, need.about) == ("duplicate_run", 2, "orders -> load at default")
    page, chosen = place(need.what, need.filter)
    assert (page, chosen["reason"], chosen["route"]) == ("/deliveries", "duplicate_run", "orders")


def test_what_came_too_late_is_said_beside_any_number_of_other_causes() -> None:
    """And what is beyond its own lines leads to the list of it."""
    groups = [replace(FAILED, route=f"r{number}") for number in range(250)]
    late = [replace(each, state=TriggerState.CANCELLED, reason=Reason.TOO_LATE) for each in groups]
    (need,) = [each for each in needs(Facts(NOW, groups=groups, late=late[:1])) if each.what == "too_late"]
    assert need.about == "r0 -> load at default"
    rest = [each for each in needs(Facts(NOW, late=late)) if each.about == "smaller causes"]
    assert [(each.filter, each.count) for each in rest] == [
        ({"state": "cancelled", "reason": "too_late"}, 50 * FAILED.count)
    ]
    assert "triggers --state cancelled --reason too_late" in rest[0].next_step


@pytest.mark.parametrize("state", [DeliveryState.UNROUTED, DeliveryState.IGNORED])
@pytest.mark.parametrize("reason", [Reason.LOOKUP_FAILED, Reason.LOOKUP_NOT_FOUND])
@pytest.mark.parametrize(("days", "is_needed"), [(1.5, True), (7, True), (7.1, False)])
def test_what_was_given_up_is_shown_for_a_week(
    state: DeliveryState, reason: Reason, days: float, is_needed: bool
) -> None:
    """It may have come a day before it was given up. Each state is a place of its own: counts are not compared."""
    given_up = replace(ODD, state=state, reason=reason, newest_at=NOW - timedelta(days=days))
    found = needs(Facts(NOW, odd=[given_up]))
    assert [(need.what, need.about, need.filter) for need in found] == [
        (
            str(reason),
            f"planasonix, {state}",
            {"state": str(state), "source": "planasonix", "reason": str(reason)},
        )
    ] * is_needed
    assert [place(need.what, need.filter)[0] for need in found] == ["/deliveries"] * is_needed


@pytest.mark.parametrize(
    ("days", "says"),
    [(-1, "not valid since 2025-03-26T03:00:00Z; remove it"), (13, "valid until 2025-04-09T03:00:00Z only")],
)
def test_a_key_that_ends_is_said(days: int, says: str) -> None:
    """For two weeks before, and as long as it stands there; other keys need nobody."""
    ends = Key("old", b"x", not_after=(NOW + timedelta(days=days)).timestamp())
    later = Key("new", b"x", not_after=(NOW + timedelta(days=15)).timestamp())
    found = needs(Facts(NOW, troubles=list(of_keys({"planasonix": [later, ends], "other": [Key("k", b"x")]}, NOW))))
    assert [(need.what, need.about, says in need.says) for need in found] == [("key_expires", "planasonix old", True)]


@pytest.mark.parametrize(
    ("heard", "age", "is_needed"),
    [(True, 26, False), (True, 26.1, True), (False, 26, False), (False, 26.1, True)],
)
def test_a_source_that_is_silent_for_too_long_needs_a_person(heard: bool, age: float, is_needed: bool) -> None:
    """Counted from its last webhook; if there was none, from when it was first expected."""
    at = NOW - timedelta(hours=age)
    since = NOW - timedelta(days=90) if heard else at
    silence = Silence("crm", timedelta(hours=26), since, at if heard else None, NOW)
    found = needs(Facts(NOW, troubles=list(of_silences([silence], NOW))))
    assert [(need.what, need.about, need.since) for need in found] == [("source_silent", "crm", at)] * is_needed
    says = "source crm has sent no webhook for more than 26h" + ("" if heard else ", nor ever before")
    assert [need.says for need in found] == [says] * is_needed
    assert [place(need.what, need.filter) for need in found] == [("/refusals", {"source": "crm"})] * is_needed


def test_a_broken_file_says_its_first_mistake() -> None:
    """And how many more there are."""
    problems = [Problem("mapping.yaml", 3, 1, "an unknown key"), Problem("mapping.yaml", 9, 1, "another")]
    (problem,) = of_files(problems, (), mapping_since=NOW - timedelta(hours=3))
    (need,) = needs(Facts(NOW, troubles=[problem]))
    assert need.since == NOW - timedelta(hours=3)
    assert (need.what, need.count, isinstance(need, Need)) == ("mapping_broken", 1, True)
    assert "an unknown key" in need.says
    assert "1 more" in need.says
    assert [each.what for each in of_files((), problems[:1])] == ["secrets_broken"]


PAGES = {
    "/refusals": {"refused", "same_body", "url_conflict", "source_silent"},
    "/deliveries": {"waiting", "invalid", "stale", "same_event", "status_unknown", "lookup_failed", "lookup_not_found"}
    | {"drift", "too_late", "duplicate_run"},
    "/routes": {"mapping_broken", "secrets_broken", "key_set", "mapping_differs", "dag", "paused"},
    "/": {"key_expires", "not_notified"},
    "/attention": {"airflow_down", "failed", "held", "run_failed"},
}


@pytest.mark.parametrize("what", attention.WHATS)
def test_each_kind_has_a_page_where_it_is_mended(what: str) -> None:
    """Lists are narrowed down to what it is about; the other pages are whole."""
    (page,) = (page for page, whats in PAGES.items() if what in whats)
    chosen = {"source": "crm"} if page in ("/refusals", "/deliveries") else {}
    assert place(what, {"source": "crm"}) == (page, chosen)
    assert place(what, None) == (page, {})


@pytest.mark.parametrize(
    ("waiting", "about", "says", "next_step", "chosen"),
    [
        (
            SLOW,
            "planasonix",
            f"what is received waits too long at source planasonix: {Reason.LOOKUP_FAILED.why}",
            Reason.LOOKUP_FAILED.next_step,
            {"state": "received", "source": "planasonix"},
        ),
        (
            Waiting(TriggerState.PENDING, 2, NOW - HOUR, airflow="far"),
            "far",
            "what is pending waits too long at Airflow far",
            "Look whether the bridge keeps up: its log, and `bridge_oldest_waiting_seconds`.",
            {"state": "pending", "airflow": "far"},
        ),
    ],
)
def test_what_waits_says_where_and_why(
    waiting: Waiting, about: str, says: str, next_step: str, chosen: dict[str, str]
) -> None:
    """With what the reason asks for, if there is one; else the bridge itself is too slow."""
    (need,) = needs(Facts(NOW, waiting=[waiting]))
    reason = None if waiting.reason is None else str(waiting.reason)
    assert (need.about, need.says, need.next_step, need.filter, need.reason) == (about, says, next_step, chosen, reason)


def test_an_airflow_that_is_down_says_since_when_it_is_or_something_waits() -> None:
    """What it says itself counts more; other troubles count one, and nothing of what waits."""
    down = replace(DOWN, since=NOW - 9 * MINUTE)
    broken = Trouble("mapping_broken", "default", "x", "mend it", reason=Reason.AIRFLOW_DOWN)
    first, second = needs(Facts(NOW, groups=[HELD], troubles=[down, broken]))
    assert (first.since, first.count, first.reason) == (NOW - 9 * MINUTE, 7, "airflow_down")
    assert (second.what, second.since, second.count, second.filter) == ("mapping_broken", None, 1, None)


def test_groups_that_count_all_there_is_have_no_note() -> None:
    """That is how it is unless the store says otherwise."""
    assert [need.about for need in attention.everything(Facts(NOW, groups=[FAILED]))] == ["orders -> load at default"]


@pytest.mark.parametrize(
    ("is_gone", "age", "says", "next_step"),
    [
        (False, 2 * DAY, "and has no end", "Run `planasonix-bridge resume route orders` if it may go on."),
        (True, HOUR, "and is configured no more", "Run `planasonix-bridge resume route orders` if it may go on."),
        (
            False,
            HOUR,
            None,
            "Nothing, while it is meant. Run `planasonix-bridge resume route orders` if it may go on.",
        ),
    ],
)
def test_a_pause_says_what_is_wrong_with_it(is_gone: bool, age: timedelta, says: str | None, next_step: str) -> None:
    """Nothing while it is meant."""
    (need,) = attention.everything(Facts(NOW, pauses=[(replace(PAUSE, paused_at=NOW - age), is_gone)]))
    words = f", {says}" if says else " until somebody resumes it"
    assert (need.says, need.next_step) == (f"route orders is paused by cli:alice{words}", next_step)
