"""When the Planasonix API is not asked: while it is down, and while it allows no calls."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from bridge.edges.http import rate_limit_seconds
from bridge.edges.planasonix import PlanasonixClient, jobs
from bridge.edges.planasonix.gate import Gate
from bridge.words.errors import LookupNotFound, LookupUnavailable
from bridge.words.targets import PlanasonixApi, Secret
from tests.support.jobs_api import JobsApi

_NOW = datetime(2026, 8, 1, 10, tzinfo=UTC)


class Asked:
    """A client with a gate whose clock the test sets."""

    def __init__(self, api: JobsApi) -> None:
        self.api = api
        self.now = 0.0
        self.settings = PlanasonixApi(api.url, Secret("k" * 30), timeout_seconds=5)
        self.client = PlanasonixClient(self.settings, Gate("planasonix", lambda: self.now))

    def ask(self, job: str = "job_1", *, after: float = 0.0) -> str:
        """Ask for a job after so many seconds; returns what came of it."""
        self.now += after
        asked = len(self.api.asked)
        try:
            self.client.job(job)
        except LookupNotFound:
            return "not found"
        except LookupUnavailable as error:
            return str(error) if len(self.api.asked) > asked else f"kept back: {error}"
        return "answered"

    def is_whole(self, job: str) -> bool:
        """Ask for a job that gets no answer; returns whether that is held to be about the whole API."""
        with pytest.raises(LookupUnavailable) as caught:
            self.client.job(job)
        return caught.value.is_whole


@pytest.fixture
def asked() -> Iterator[Asked]:
    """An API that knows one job, and its client."""
    with JobsApi() as api:
        api.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_1"}
        item = Asked(api)
        yield item
        item.client.close()


@pytest.mark.parametrize("status", [401, 403, 429, 502, 503, 504])
def test_what_every_question_would_get_closes_the_gate_at_once(asked: Asked, status: int) -> None:
    """Then nothing is asked but a probe, after 1 s, 2 s, 4 s; one good probe lets everybody in."""
    asked.api.status = status
    with capture_logs() as logs:
        assert str(status) in asked.ask()
        assert asked.ask().startswith("kept back: not asked now: ")
        assert not asked.ask(after=1).startswith("kept back")
        assert asked.ask(after=1).startswith("kept back")
        assert asked.client.room(16) == 0
        asked.api.status = 200
        asked.now += 1
        assert asked.client.room(16) == 1
        assert asked.ask() == "answered"
    assert asked.client.room(16) == 16
    assert [item["event"] for item in logs] == ["planasonix_not_asked", "planasonix_answers"]


def test_an_api_that_is_gone_closes_the_gate() -> None:
    """No connection is about the whole."""
    with JobsApi() as api:
        asked = Asked(api)
    assert "cannot be reached" in asked.ask()
    assert asked.client.room(16) == 0
    asked.client.close()


def test_one_question_that_always_fails_keeps_nobody_else_away(asked: Asked) -> None:
    """A 500 may be about one job: only three different ones without a good answer between close the gate."""
    asked.api.status = 500
    for _ in range(5):
        assert "500" in asked.ask("job_bad")
    assert "500" in asked.ask("job_worse")
    asked.api.status = 200
    assert asked.ask("job_1") == "answered"
    asked.api.status = 500
    for job in ("job_a", "job_b"):
        assert "500" in asked.ask(job)
    assert asked.client.room(16) == 16
    assert "500" in asked.ask("job_c")
    assert asked.ask("job_1").startswith("kept back")


@pytest.mark.parametrize("status", [400, 409, 422])
def test_what_is_refused_alone_says_nothing_of_the_whole(asked: Asked, status: int) -> None:
    """As a run that has ended and cannot be cancelled: whoever refuses it is there."""
    asked.api.status = status
    for number in range(5):
        assert str(status) in asked.ask(f"job_{number}")
    assert asked.client.room(16) == 16


def test_an_unknown_job_is_an_answer(asked: Asked) -> None:
    """404 opens the gate as well as any other."""
    asked.api.status = 503
    asked.ask()
    asked.api.status = 200
    assert asked.ask("job_unknown", after=1) == "not found"
    assert asked.client.room(16) == 16


def test_a_proxys_404_is_no_answer_of_the_api(asked: Asked) -> None:
    """One says nothing of the whole. Three different questions without a good answer: the API is not behind it."""
    asked.api.headers = {"Content-Type": "text/plain"}
    assert "404" in asked.ask("job_a")
    assert "404" in asked.ask("job_b")
    assert asked.client.room(16) == 16
    assert asked.ask("job_1") == "answered"
    asked.api.status = 404
    for number in range(3):
        assert "404" in asked.ask(f"job_{number + 2}")
    assert asked.client.room(16) == 0


@pytest.mark.parametrize("status", [403, 502, 504, 500])
def test_what_the_api_itself_refutes_is_the_trouble_of_one_question(asked: Asked, status: int) -> None:
    """However often, while others are answered: it counts towards giving up, and nobody else is kept away."""
    asked.api.statuses = {f"job_bad_{number}": status for number in range(5)}
    with capture_logs() as logs:
        for job in asked.api.statuses:
            assert not asked.is_whole(job)
            assert asked.client.room(16) == 16
            assert asked.ask() == "answered"
    assert logs == []


@pytest.mark.parametrize("status", [403, 502, 504, 500])
def test_an_api_that_answers_its_list_and_no_job_gives_nothing_up(asked: Asked, status: int) -> None:
    """As with a key that may not read jobs; also while reconciling reads the list. One job that is answered ends it."""
    asked.api.statuses = {f"job_bad_{number}": status for number in range(5)}
    found = []
    for job in asked.api.statuses:
        found.append(asked.is_whole(job))
        assert asked.client.room(16) == 16
        jobs.page(asked.client, since=_NOW, cursor=None)
    assert found == [False, False, True, True, True]
    assert asked.ask() == "answered"
    assert not asked.is_whole("job_bad_0")
    for job in ("job_bad_1", "job_bad_2"):
        asked.is_whole(job)
    assert asked.ask("job_unknown") == "not found"
    assert not asked.is_whole("job_bad_3")


def test_however_many_questions_fail_each_counts_once_for_each_good_answer_to_another(asked: Asked) -> None:
    """As with a key that may not read the jobs of one connection: all of them are given up some day."""
    asked.api.statuses = {f"job_bad_{number}": 403 for number in range(10)}
    assert [asked.is_whole(job) for job in asked.api.statuses] == [False] * 2 + [True] * 8
    for _ in range(3):
        assert asked.ask() == "answered"
        assert [asked.is_whole(job) for job in asked.api.statuses] == [False] * 10
        assert [asked.is_whole(job) for job in asked.api.statuses] == [True] * 10


def test_what_the_api_refuses_counts_always(asked: Asked) -> None:
    """It is its own word about this one: jobs that it has deleted, at a source where nothing else happens."""
    asked.api.statuses = {f"job_bad_{number}": 410 for number in range(5)}
    assert [asked.is_whole(job) for job in asked.api.statuses] == [False] * 5


def test_one_question_alone_is_held_against_itself(asked: Asked) -> None:
    """However often it fails; another key begins anew."""
    asked.api.statuses = {f"job_bad_{number}": 502 for number in range(3)}
    assert [asked.is_whole("job_bad_0") for _ in range(5)] == [False] * 5
    assert [asked.is_whole(job) for job in asked.api.statuses] == [False, False, True]
    asked.client.take_over(asked.settings)
    assert not asked.is_whole("job_bad_0")


def test_a_page_in_html_for_one_job_keeps_nobody_else_away(asked: Asked) -> None:
    """As of a firewall that dislikes one path; the list of jobs has the API's own head."""
    asked.api.headers = {"Content-Type": "text/html"}
    assert "in HTML" in asked.ask("job_1")
    assert asked.client.room(16) == 16
    asked.api.status = 403
    assert "403" in asked.ask("job_1")
    assert asked.client.room(16) == 0


def test_a_probe_that_only_its_own_question_fails_lets_everybody_in(asked: Asked) -> None:
    """The API is back, whatever it says of this one job."""
    asked.api.status = 503
    asked.ask()
    asked.api.status, asked.api.statuses = 200, {"job_bad": 500}
    assert "500" in asked.ask("job_bad", after=1)
    assert asked.client.room(16) == 16


def test_an_api_that_allows_no_more_calls_is_heard_when_it_refutes(asked: Asked) -> None:
    """The second look is a call like any other."""
    asked.api.statuses = {"job_bad": 502}
    asked.api.faults = [(200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "90"})]
    assert "502" in asked.ask("job_bad")
    assert asked.ask(after=89).startswith("kept back: not asked now: the Planasonix API allows no more calls for now")


def test_the_last_call_that_is_allowed_is_the_last(asked: Asked) -> None:
    """`X-RateLimit-Remaining: 0` is obeyed before anything is refused, until X-RateLimit-Reset."""
    asked.api.headers = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "90"}
    assert asked.ask() == "answered"
    assert asked.ask(after=89).startswith("kept back: not asked now: the Planasonix API allows no more calls for now")
    asked.api.headers["X-RateLimit-Remaining"] = "59"
    assert asked.ask(after=1) == "answered"
    assert asked.ask() == "answered"


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "90"}, {"X-RateLimit-Reset": "90"}, {"Retry-After": "90", "X-RateLimit-Reset": "5"}]
)
def test_a_refusal_is_obeyed_for_as_long_as_it_says(asked: Asked, headers: dict[str, str]) -> None:
    """Retry-After counts, else X-RateLimit-Reset; a probe does not come before it."""
    asked.api.status, asked.api.headers = 429, headers
    with pytest.raises(LookupUnavailable) as refused:
        asked.client.job("job_1")
    assert refused.value.retry_after_seconds == 90
    assert asked.ask(after=89).startswith("kept back")
    asked.api.status = 200
    assert asked.ask(after=1) == "answered"


def test_another_key_opens_the_gate(asked: Asked) -> None:
    """What the former one was refused for says nothing of it."""
    asked.api.status = 401
    asked.ask()
    asked.api.status = 200
    asked.client.take_over(asked.settings)
    assert asked.ask() == "answered"


@pytest.mark.parametrize(
    ("remaining", "reset", "is_refused", "seconds"),
    [
        ("0", str(int(_NOW.timestamp()) + 30), False, 30.0),
        ("0", str(int(_NOW.timestamp()) - 30), False, 0.0),
        ("0", "30", False, 30.0),
        ("0", "9" * 30, False, 3600.0),
        ("1", "30", False, None),
        ("1", "30", True, 30.0),
        ("0", "soon", False, None),
        ("", "", True, None),
    ],
)
def test_what_rate_limits_ask_for(remaining: str, reset: str, is_refused: bool, seconds: float | None) -> None:
    """Epoch seconds by the other side's clock, at most an hour; what cannot be read asks for nothing."""
    headers = {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": reset}
    assert rate_limit_seconds(headers, is_refused=is_refused, now=_NOW) == seconds
