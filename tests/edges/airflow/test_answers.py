"""The error table: every answer that Airflow, or something in front of it, was seen to give."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.edges.airflow import answers
from bridge.edges.airflow.answers import Ailing, Conflict, Doubt
from bridge.edges.airflow.wire import Answer, Failure, Kind, shown
from bridge.edges.http import retry_after_seconds
from bridge.words.outcomes import Later, Misconfigured, Never, Started, TargetDown
from bridge.words.reasons import Reason

JSON = "application/json"
PROBLEM = "application/problem+json"
HTML = "text/html; charset=utf-8"
PAGE = b"<html><body>Please sign in, secret-of-the-page</body></html>"
UNIQUE = {"reason": "Unique constraint violation", "statement": "hidden", "orig_error": "hidden", "message": "Serious"}


def answer(status: int, body: Any = None, content_type: str = JSON, **more: Any) -> Answer:
    """An answer; anything but bytes is sent as JSON."""
    return Answer(status, content_type, body if isinstance(body, bytes) else json.dumps(body).encode(), **more)


def detail(text: Any) -> dict[str, Any]:
    """The body in which FastAPI wraps what went wrong."""
    return {"detail": text}


@pytest.mark.parametrize(
    ("came", "kind", "reason"),
    [
        (answer(200, {"dag_run_id": "ours", "state": "queued"}), Started, None),
        (answer(201, {"dag_run_id": "ours"}), Started, None),
        (answer(200, b'\xef\xbb\xbf{"dag_run_id": "ours", "conf": {"a": NaN}}'), Started, None),
        (answer(200, {"dag_run_id": "ours"}, "text/plain"), Started, None),
        (answer(200, {"dag_run_id": "theirs"}), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(200, []), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(204, b"", ""), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(200, PAGE, HTML), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(302, b"", ""), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(307, PAGE, HTML), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(400, detail("Invalid input for param city: None is not of type 'string'")), Never, Reason.CONF_REFUSED),
        (answer(400, detail("Invalid input for param note: 'import error' is wrong")), Never, Reason.CONF_REFUSED),
        (answer(400, detail("The run_id provided '..' does not match regex")), Never, Reason.CONF_REFUSED),
        (answer(400, {"title": "Bad Request", "detail": "x"}, PROBLEM), Never, Reason.CONF_REFUSED),
        (answer(400, detail("DAG with dag_id: 'a' has import errors")), Later, Reason.DAG_REFUSES_RUNS),
        (answer(400, detail("Dag with dag_id: 'a' does not allow manual runs")), Later, Reason.DAG_REFUSES_RUNS),
        (answer(400, detail("not a partitioned Dag")), Later, Reason.DAG_REFUSES_RUNS),
        (answer(400, PAGE, HTML), Later, Reason.CALL_BLOCKED),
        (answer(403, PAGE, HTML), Later, Reason.CALL_BLOCKED),
        (answer(401, detail("Token Expired")), Misconfigured, Reason.AIRFLOW_UNAUTHORIZED),
        (answer(401, PAGE, HTML), Misconfigured, Reason.AIRFLOW_UNAUTHORIZED),
        (answer(403, detail("Invalid JWT token")), Misconfigured, Reason.AIRFLOW_UNAUTHORIZED),
        (answer(403, detail("Forbidden")), Misconfigured, Reason.AIRFLOW_FORBIDDEN),
        (answer(403, {"detail": None, "title": "Forbidden"}, PROBLEM), Misconfigured, Reason.AIRFLOW_FORBIDDEN),
        (answer(404, detail("Dag with dag_id: 'a' not found")), Later, Reason.DAG_NOT_FOUND),
        (answer(404, {"title": "DAG not found", "detail": None}, PROBLEM), Later, Reason.DAG_NOT_FOUND),
        (answer(404, detail("Not Found")), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(404, PAGE, HTML), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(405, detail("Method Not Allowed")), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(413, PAGE, HTML), Never, Reason.CONF_TOO_LARGE),
        (answer(418, PAGE, HTML), Later, Reason.CALL_BLOCKED),
        (answer(422, detail([{"loc": ["body", "conf"], "msg": "bad"}])), Never, Reason.CONF_REFUSED),
        (answer(422, detail({"reason": "Value rejected by database"})), Never, Reason.CONF_REFUSED),
        (answer(429, b"", ""), TargetDown, Reason.THROTTLED),
        (answer(503, PAGE, HTML, retry_after_seconds=7.0), TargetDown, Reason.THROTTLED),
    ],
)
def test_answer_to_a_trigger(came: Answer, kind: type, reason: Reason | None) -> None:
    """Each answer of the table has its outcome and its reason."""
    outcome = answers.after_trigger(came, "ours")
    assert type(outcome) is kind
    assert getattr(outcome, "reason", None) is reason
    assert outcome.http_status == came.status  # type: ignore[union-attr]
    assert "secret-of-the-page" not in getattr(outcome, "detail", "")


@pytest.mark.parametrize(
    ("came", "question"),
    [
        (answer(200, b'{"dag_run_id": "ou'), Doubt("200, but its JSON cannot be read", 200)),
        *(
            (answer(status, b'{"x', is_cut=True), Doubt(f"{status} (application/json, cut after 3 bytes)", status, 5))
            for status in (200, 201, 400, 404, 409, 422, 429, 500, 503)
        ),
        (answer(200, b"", ""), Doubt("200, but empty", 200)),
        (answer(408, PAGE, HTML), Doubt("408 (text/html)", 408)),
        (answer(502, PAGE, HTML), Doubt("502 (text/html)", 502)),
        (answer(504, PAGE, HTML), Doubt("504 (text/html)", 504)),
        (answer(524, PAGE, HTML), Doubt("524 (text/html)", 524)),
        (answer(409, detail(UNIQUE)), Conflict("409: Unique constraint violation: Serious")),
        (answer(409, PAGE, HTML), Conflict("409 (text/html)")),
        (answer(503, PAGE, HTML), Ailing("503 (text/html)", 503)),
        (answer(500, detail({"reason": "Database error", "message": "x"})), Ailing("500: Database error: x", 500)),
        (answer(500, b"Internal Server Error", "text/plain"), Ailing("500 (text/plain)", 500, 5)),
    ],
)
def test_answer_that_needs_another_question(came: Answer, question: Conflict | Doubt | Ailing) -> None:
    """What the answer alone does not settle is asked, and is no outcome yet."""
    assert answers.after_trigger(came, "ours") == question


def test_one_forbidden_dag_does_not_stop_the_others() -> None:
    """A missing right parks one trigger; a refused sign-in looks like trouble of the whole Airflow."""
    outcomes = [
        answers.after_trigger(answer(403, detail("Forbidden")), "ours"),
        answers.after_trigger(answer(401, detail("Token Expired")), "ours"),
        answers.after_trigger(answer(404, PAGE, HTML), "ours"),
    ]
    assert [item.is_whole_target for item in outcomes] == [False, True, True]  # type: ignore[union-attr]


WHOLE = [
    (TargetDown(Reason.THROTTLED, "429", 17.0, 429), Later(Reason.THROTTLED, "429", 17.0, None, True, False, 429)),
    (TargetDown(Reason.AIRFLOW_DOWN, "refused"), Later(Reason.ANSWER_LOST, "refused")),
    (
        Misconfigured(Reason.AIRFLOW_MISCONFIGURED, "200 (text/html)", http_status=200),
        Later(Reason.CALL_BLOCKED, "200 (text/html)", is_hold=True, http_status=200),
    ),
    (
        Misconfigured(Reason.AIRFLOW_UNAUTHORIZED, "401", http_status=401),
        Later(Reason.CALL_BLOCKED, "401", is_hold=True, http_status=401),
    ),
]


@pytest.mark.parametrize(("verdict", "own"), WHOLE)
def test_what_the_place_refutes_is_the_triggers_own(verdict: TargetDown | Misconfigured, own: Later) -> None:
    """Every verdict on the whole has a meaning for one trigger; what is about one trigger already stays as it is."""
    assert answers.refuted(verdict) == own
    assert answers.refuted(own) == own
    forbidden = Misconfigured(Reason.AIRFLOW_FORBIDDEN, is_whole_target=False)
    assert answers.refuted(forbidden) == forbidden


def test_what_must_pass_outside_is_held_and_asked_slowly() -> None:
    """An unknown DAG is asked for every 15 s or slower, one that refuses runs every minute, both without end."""
    unknown = answers.after_trigger(answer(404, detail("Dag with dag_id: 'a' not found")), "ours")
    refusing = answers.after_trigger(answer(400, detail("has import errors")), "ours")
    assert isinstance(unknown, Later)
    assert isinstance(refusing, Later)
    assert (unknown.wait_seconds, unknown.is_hold, unknown.attempts_allowed) == (15.0, True, None)
    assert (refusing.wait_seconds, refusing.is_hold, refusing.attempts_allowed) == (60.0, True, None)


@pytest.mark.parametrize(
    ("ailing", "attempts"), [(Ailing("500: Database error", 500), None), (Ailing("500 (text/plain)", 500, 5), 5)]
)
def test_server_error_of_a_healthy_airflow(ailing: Ailing, attempts: int | None) -> None:
    """A database error passes; an unexplained 500 may be poison and is tried five times."""
    later = answers.after_ailing(ailing)
    assert (later.reason, later.attempts_allowed, later.http_status) == (Reason.AIRFLOW_ERROR, attempts, 500)


@pytest.mark.parametrize(
    ("came", "kind", "reason"),
    [
        (answer(200, {"version": "3.3.2"}), type(None), None),
        (answer(200, b'{"dags": [', is_cut=True), type(None), None),
        (answer(200, PAGE, HTML), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(301, b"", ""), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(401, detail("x")), Misconfigured, Reason.AIRFLOW_UNAUTHORIZED),
        (answer(404, PAGE, HTML), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(422, detail([])), Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
        (answer(429, b"", ""), TargetDown, Reason.THROTTLED),
        (answer(500, b"", ""), TargetDown, Reason.AIRFLOW_DOWN),
        (answer(503, b"", ""), TargetDown, Reason.AIRFLOW_DOWN),
    ],
)
def test_answer_to_a_question(came: Answer, kind: type, reason: Reason | None) -> None:
    """What Airflow says of itself is well, down, throttled or not Airflow."""
    problem = answers.after_question(came)
    assert type(problem) is kind
    assert getattr(problem, "reason", None) is reason


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_sign_in_is_the_whole_targets(status: int) -> None:
    """At the sign-in, every refusal is about user and password."""
    problem = answers.after_sign_in(answer(status, detail("Invalid credentials")))
    assert problem == Misconfigured(
        Reason.AIRFLOW_UNAUTHORIZED, f"{status}: Invalid credentials", is_whole_target=True, http_status=status
    )


@pytest.mark.parametrize(
    ("kind", "outcome", "reason"),
    [
        (Kind.NOTHING_SENT, TargetDown, Reason.AIRFLOW_DOWN),
        (Kind.UNKNOWN, TargetDown, Reason.AIRFLOW_DOWN),
        (Kind.MISFIT, Misconfigured, Reason.AIRFLOW_MISCONFIGURED),
    ],
)
def test_no_answer(kind: Kind, outcome: type, reason: Reason) -> None:
    """Nothing sent: the place is down. TLS or the URL does not fit: a person must act."""
    made = answers.after_failure(Failure(kind, "why"))
    assert (type(made), made.reason, made.detail) == (outcome, reason, "why")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("99999", 3600.0),
        ("9" * 400, 3600.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u0663", None),
        ("Thu, 27 Mar 2025 00:01:30 GMT", 90.0),
        ("Thu, 27 Mar 2025 00:01:30", 90.0),
        ("Wed, 26 Mar 2025 00:00:00 GMT", 0.0),
        ("Thu, 27 Mar 2026 00:00:00 GMT", 3600.0),
        ("Thu, 99 Mar 2025 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    """Seconds or an HTTP date, at most an hour; what cannot be read asks for nothing."""
    assert retry_after_seconds(text, now=datetime(2025, 3, 27, tzinfo=UTC)) == seconds


@given(st.text(max_size=1000))
def test_shown_text_is_one_short_printable_line(text: str) -> None:
    """Whatever Airflow says can be printed, logged and stored."""
    line = shown(text)
    assert len(line) <= 300
    assert line.isprintable()
    line.encode()


@given(
    st.integers(min_value=200, max_value=599),
    st.sampled_from([JSON, PROBLEM, HTML, "", "application/json; charset=x"]),
    st.one_of(st.binary(max_size=200), st.recursive(st.none() | st.text(max_size=9), st.lists).map(json.dumps)),
)
def test_no_answer_is_too_strange(status: int, content_type: str, body: bytes | str) -> None:
    """Whatever comes back is classified, never an exception, and never taken for a created run."""
    raw = body if isinstance(body, bytes) else json.dumps({"detail": json.loads(body)}).encode()
    came = Answer(status, content_type, raw)
    assert not isinstance(answers.after_trigger(came, "ours"), Started)
    answers.after_question(came)
    answers.after_sign_in(came)


def test_deeply_nested_json_is_no_json() -> None:
    """A body made to exhaust the parser is just unreadable."""
    assert answer(200, b"[" * 100_000).json() is None
    assert answer(200, b"9" * 10_000).json() is None
