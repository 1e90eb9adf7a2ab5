"""What Airflow's answer to "start this DAG run" means for the trigger, or for the whole Airflow. Pure.

Three answers do not settle it, and say what to ask next: Conflict and Doubt (read the run back), Ailing (ask the
place).

Rule: one answer is one sample, so it never stops a whole Airflow. A TargetDown, or a Misconfigured that is about the
whole, is only what this one call looks like. The package asks the place itself (`Airflow.probe`), and what the place
does not confirm is this trigger's own (`refuted`). So a poisonous trigger cannot hold up the others, nor a sick Airflow
use up their attempts.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from bridge.edges.airflow.wire import Answer, Failure, Kind, made_at, shown
from bridge.words.holds import Awaits
from bridge.words.outcomes import Later, Misconfigured, Never, Outcome, Started, TargetDown
from bridge.words.reasons import Reason

TargetProblem = TargetDown | Misconfigured

FEW_ATTEMPTS = 5
_NOT_PARSED_SECONDS = 15.0  # Airflow's dag-processor looks for changes every 30 s
_REFUSED_SECONDS = 60.0
_SPACED_SECONDS = 5.0  # between the few attempts after an unexplained 500; a glitch then outlasts them seldom
_NO_DAG = re.compile(r"\bdag\b.*\bnot found", re.IGNORECASE | re.DOTALL)
_REFUSES_RUNS = ("has import errors", "import error", "does not allow manual runs", "not a partitioned")
_BAD_PARAM = "invalid input for param"  # goes on with the value, which may hold any words
_INVALID_TOKEN = "invalid jwt token"  # noqa: S105 - Airflow's words, no token
PROXY_REFUSES_US = (
    "407: the proxy wants a user and a password, or other ones:"
    " write http://user:password@host:port where `proxy` points to, or into HTTPS_PROXY"
)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Airflow says that something with this id exists: read it back, for it may be anyone's."""

    detail: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """The DAG run may have been created: read it back. `attempts_allowed`: if there is none, again and again."""

    detail: str
    http_status: int | None = None
    attempts_allowed: int | None = None


@dataclass(frozen=True, slots=True)
class Ailing:
    """A server error: the place decides whether it or this trigger is the trouble."""

    detail: str
    http_status: int
    attempts_allowed: int | None = None


# Airflow's own words to a call that would have started a DAG run: it started none.
REFUSALS = (
    Reason.DAG_NOT_FOUND,
    Reason.DAG_REFUSES_RUNS,
    Reason.AIRFLOW_FORBIDDEN,
    Reason.AIRFLOW_UNAUTHORIZED,
)


def after_trigger(answer: Answer, dag_run_id: str) -> Outcome | Conflict | Doubt | Ailing:
    """Classify the answer to a POST of a DAG run; a 401 here is one that a new sign-in did not mend."""
    if answer.is_cut or answer.status == 408:
        # 408 comes from a proxy that found the request too slow; who knows what it passed on.
        return Doubt(message(answer), answer.status, FEW_ATTEMPTS if answer.is_cut else None)
    if 200 <= answer.status < 300:
        return _success(answer, dag_run_id)
    if answer.status in (429, 503) and (throttled := _throttled(answer)):
        return throttled
    if answer.status >= 500:
        return _server_error(answer)
    if answer.status == 409:
        return Conflict(message(answer))
    problem = target_problem(answer)
    is_forbidden = problem is not None and problem.reason is Reason.AIRFLOW_FORBIDDEN
    return replace(problem, is_dag_forbidden=is_forbidden) if problem else _refusal(answer)


def after_sign_in(answer: Answer) -> TargetDown | Misconfigured | None:
    """Classify the answer to a sign-in: here every refusal is about the user and password."""
    if answer.status in (400, 401, 403):
        return Misconfigured(Reason.AIRFLOW_UNAUTHORIZED, message(answer), http_status=answer.status)
    return after_question(answer)


def after_question(answer: Answer) -> TargetDown | Misconfigured | None:
    """Classify the answer to a question to Airflow itself (version, health, sign-in); None if it is a 2xx in JSON."""
    if answer.status in (429, 503) and (throttled := _throttled(answer)):
        return throttled
    if answer.status >= 500:
        return TargetDown(Reason.AIRFLOW_DOWN, message(answer), http_status=answer.status)
    if 200 <= answer.status < 300 and answer.is_json and (answer.is_cut or answer.json() is not None):
        return None
    return target_problem(answer) or Misconfigured(
        Reason.AIRFLOW_MISCONFIGURED, message(answer), http_status=answer.status
    )


def after_failure(failure: Failure) -> TargetDown | Misconfigured:
    """Classify a call without an answer, where reading back is not (or no longer) of use."""
    if failure.kind is Kind.MISFIT:
        return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, failure.detail)
    return TargetDown(Reason.AIRFLOW_DOWN, failure.detail)


def target_problem(answer: Answer) -> Misconfigured | None:
    """Tell whether an answer below 500 shows that the URL or the sign-in is wrong; None if it is about the request."""
    status = answer.status
    if status == 407:
        return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, PROXY_REFUSES_US, http_status=status)
    if status == 401 or is_token_refused(answer):
        return Misconfigured(Reason.AIRFLOW_UNAUTHORIZED, message(answer), http_status=status)
    if status == 403 and answer.is_json:
        return Misconfigured(Reason.AIRFLOW_FORBIDDEN, message(answer), is_whole_target=False, http_status=status)
    if status < 400 or status == 405 or (status == 404 and not knows_no_dag(answer)):
        return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, message(answer), http_status=status)
    return None


def is_token_refused(answer: Answer) -> bool:
    """Tell whether the token, and not the user's right, is the problem: a new sign-in may help."""
    return answer.status == 401 or (answer.status == 403 and _INVALID_TOKEN in _message(answer).lower())


def may_be_signed_out(answer: Answer, *, is_403_vague: bool) -> bool:
    """Tell whether an answer may mean that the sign-in has ended, though it does not say so.

    A gateway sends to its login page, or answers with it; Airflow 2 says no more than 403 (`is_403_vague`).
    """
    is_page = 200 <= answer.status < 300 and not answer.is_json
    return is_page or 300 <= answer.status < 400 or (is_403_vague and answer.status == 403)


def message(answer: Answer) -> str:
    """Return the status and what Airflow says about it, fit to be shown; never anything of a page in HTML."""
    if answer.is_json and (text := _message(answer)):
        return shown(f"{answer.status}: {text}")
    kind = answer.content_type.partition(";")[0].strip() or "no content type"
    cut = f", cut after {len(answer.body)} bytes" if answer.is_cut else ""
    return shown(f"{answer.status} ({kind}{cut})")


def _success(answer: Answer, dag_run_id: str) -> Outcome | Doubt:
    if answer.object().get("dag_run_id") == dag_run_id:
        return Started(http_status=answer.status, run_after=made_at(answer.object()))
    if answer.is_json and answer.json() is None:
        return Doubt(f"{answer.status}, but its JSON cannot be read", answer.status)
    if not answer.body and answer.status != 204:
        # A connection that breaks within the head looks like this, since Python takes its end for the head's.
        return Doubt(f"{answer.status}, but empty", answer.status)
    detail = f"{message(answer)}, which is not the DAG run: a login page or a proxy?"
    return Misconfigured(Reason.AIRFLOW_MISCONFIGURED, shown(detail), http_status=answer.status)


def _throttled(answer: Answer) -> TargetDown | None:
    """429 always asks to slow down, 503 only if it says how long."""
    wait = answer.retry_after_seconds
    if wait is None and answer.status == 503:
        return None
    return TargetDown(Reason.THROTTLED, message(answer), wait_seconds=wait or 0.0, http_status=answer.status)


def _server_error(answer: Answer) -> Doubt | Ailing:
    """500 and 503 are Airflow's own; other ones come from something in front, after who knows what."""
    if answer.status == 500:
        is_database = "database error" in _message(answer).lower()
        return Ailing(message(answer), 500, attempts_allowed=None if is_database else FEW_ATTEMPTS)
    if answer.status == 503:
        return Ailing(message(answer), 503)
    return Doubt(message(answer), answer.status)


def after_ailing(ailing: Ailing) -> Later:
    """Return what a server error means when Airflow is healthy; an unexplained one may be poison, so few tries."""
    return Later(
        Reason.AIRFLOW_ERROR,
        ailing.detail,
        wait_seconds=_SPACED_SECONDS if ailing.attempts_allowed else 0.0,
        attempts_allowed=ailing.attempts_allowed,
        http_status=ailing.http_status,
    )


def refuted(outcome: Outcome) -> Outcome:
    """Return what a verdict on the whole means once the place itself has said that it is well: this call's own trouble.

    It is tried again ever more rarely, after all others that are due, until the route's `max_age` or `max_attempts`.
    """
    match outcome:
        case TargetDown(Reason.THROTTLED, detail, wait, status):
            return Later(Reason.THROTTLED, detail, wait_seconds=wait, is_hold=True, http_status=status)
        case TargetDown(_, detail, _, status):
            return Later(Reason.ANSWER_LOST, detail, http_status=status)
        case Misconfigured(_, detail, True, status):
            return Later(Reason.CALL_BLOCKED, detail, is_hold=True, http_status=status)
        case _:
            return outcome


def _refusal(answer: Answer) -> Outcome:
    """Every other answer: Airflow, or something in front of it, does not take this one request."""
    status, text = answer.status, _message(answer).lower()
    if status == 404:
        return Later(
            Reason.DAG_NOT_FOUND,
            message(answer),
            wait_seconds=_NOT_PARSED_SECONDS,
            is_hold=True,
            awaits=Awaits.THERE,
            http_status=status,
        )
    if status == 413:
        return Never(Reason.CONF_TOO_LARGE, message(answer), http_status=status)
    if status == 400 and _BAD_PARAM not in text and any(words in text for words in _REFUSES_RUNS):
        return Later(
            Reason.DAG_REFUSES_RUNS,
            message(answer),
            wait_seconds=_REFUSED_SECONDS,
            is_hold=True,
            awaits=Awaits.THERE,
            http_status=status,
        )
    if status in (400, 422) and answer.is_json:
        return Never(Reason.CONF_REFUSED, message(answer), http_status=status)
    return _blocked(answer)


def _blocked(answer: Answer) -> Later:
    """Not Airflow's own words: a firewall's page about this request."""
    return Later(Reason.CALL_BLOCKED, message(answer), is_hold=True, http_status=answer.status)


def knows_no_dag(answer: Answer) -> bool:
    """Tell whether a 404 is Airflow's own word that it has no such DAG: not a proxy's, nor another version's."""
    return answer.status == 404 and answer.is_json and _NO_DAG.search(_message(answer)) is not None


def _message(answer: Answer) -> str:
    """Return what Airflow says: `detail` as text, list (of a schema) or object (of a database), or `title` (v1)."""
    told_of = answer.object()
    parts = [_flat(told_of.get(key)) for key in ("title", "detail")]
    return ": ".join(part for part in parts if part)


def _flat(detail: Any) -> str:
    match detail:
        case str():
            return detail
        case list():
            return "; ".join(_flat(item) for item in detail[:5])
        case {"msg": str(problem), "loc": list(place)}:
            return f"{'.'.join(str(step) for step in place)}: {problem}"
        case {"reason": str(reason), **rest}:
            message = rest.get("message")
            return f"{reason}: {message}" if isinstance(message, str) else reason
        case _:
            return ""
