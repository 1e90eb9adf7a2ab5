"""`GET /api/v1/missed`: which webhooks never came, a page at a time, as a running bridge sees it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox
from bridge.edges.planasonix import PlanasonixClient
from bridge.flows.reconciling import Look
from bridge.rules.signature import PRESETS, Key, make_verifier
from bridge.rules.sources import Source
from bridge.web.missed import MissedApi
from bridge.words.errors import BadFilter, LookupUnavailable
from bridge.words.targets import PlanasonixApi, Reconcile, Secret
from tests.support.fixtures import inbox, path
from tests.support.jobs_api import JobsApi

__all__ = ["inbox", "path"]

_SETTING = Reconcile(types=("job.succeeded",))


@contextmanager
def _missed(inbox: Inbox, planasonix: JobsApi, setting: Reconcile = _SETTING) -> Iterator[MissedApi]:
    verifier = make_verifier(PRESETS["planasonix"], [Key("a", b"whsec_4f7d1c0b9a8e7d6c5b4a39281706f5e4")])
    source = Source("planasonix", verifier)
    with closing(PlanasonixClient(PlanasonixApi(planasonix.url, Secret("k" * 30)))) as client:
        look = Look(source, client, inbox=inbox, setting=setting, retention=timedelta(days=30))
        yield MissedApi(looks={"planasonix": look})


def test_pages_lead_through_all_that_never_came_and_add_nothing(inbox: Inbox) -> None:
    """Each answer has what the next question needs; what ended before `since` is left out."""
    now = datetime.now(UTC)
    with JobsApi() as planasonix:
        planasonix.page_size = 2
        planasonix.jobs = {
            f"job_{n}": {
                "id": f"job_{n}",
                "status": "succeeded",
                "finished_at": (now - timedelta(hours=n + 1)).isoformat(),
            }
            for n in range(5)
        }
        query, found = {"since": (now - timedelta(hours=4, minutes=30)).isoformat()}, []
        with _missed(inbox, planasonix) as api:
            while True:
                page = api.missed(query=query)
                found += [each["job_id"] for each in page["missed"]]
                assert (page["source"], page["is_behind"], page["has_types"]) == ("planasonix", False, True)
                if page["next"] is None:
                    break
                query = {"since": page["since"], "until": page["until"], "after": page["next"]}
            assert found == ["job_0", "job_1", "job_2", "job_3"]
            assert len(api.missed(query={})["missed"]) == 2


def test_a_source_that_never_told_of_jobs_says_so(inbox: Inbox) -> None:
    """Then nothing is found, and that is no proof."""
    with JobsApi() as planasonix, _missed(inbox, planasonix, Reconcile()) as api:
        page = api.missed(query={})
        assert (page["has_types"], page["stopped_types"]) == (False, [])


@pytest.mark.parametrize("query", [{"source": "other"}, {"since": "x"}, {"more": "x"}])
def test_what_cannot_be_asked(inbox: Inbox, query: dict[str, str]) -> None:
    """It is the caller's mistake."""
    with JobsApi() as planasonix, _missed(inbox, planasonix) as api, pytest.raises(BadFilter):
        api.missed(query=query)
    with pytest.raises(BadFilter, match="there is none"):
        MissedApi(looks={}).missed(query={})


def test_an_api_that_is_down_is_said(inbox: Inbox) -> None:
    """503 for whoever asks the bridge."""
    with JobsApi() as planasonix, _missed(inbox, planasonix) as api:
        planasonix.faults = [(503, {})]
        with pytest.raises(LookupUnavailable, match="503"):
            api.missed(query={})
