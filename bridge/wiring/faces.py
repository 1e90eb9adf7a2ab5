"""Builds every part of the admin API once. A new part is listed in web/faces.py and built here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.edges.settings import Config
from bridge.flows.counting import Counting
from bridge.flows.explaining import Around
from bridge.flows.verifying import dags_of
from bridge.rules.event import USUAL, Spelling
from bridge.web.api import Api
from bridge.web.audit import AuditApi
from bridge.web.bodies import BodiesApi
from bridge.web.causes import CausesApi
from bridge.web.erasing import ErasingApi
from bridge.web.examining import ExaminingApi
from bridge.web.exporting import ExportingApi
from bridge.web.faces import Faces
from bridge.web.history import HistoryApi
from bridge.web.looks import LooksApi
from bridge.web.missed import MissedApi
from bridge.web.orders import OrdersApi
from bridge.web.outcomes import OutcomesApi
from bridge.web.pauses import PausesApi
from bridge.web.refusals import RefusalsApi
from bridge.web.replicas import ReplicasApi
from bridge.web.status import StatusApi
from bridge.web.stream import StreamApi
from bridge.web.telling import TellingApi
from bridge.web.verifying import VerifyingApi
from bridge.web.waiting import WaitingApi
from bridge.web.why import WhyApi
from bridge.wiring.work import Work


@dataclass(frozen=True, slots=True)
class Parts:
    """The objects of one process that the API is built over.

    `config` returns the one in use; `here`: the public listener's URL; `disk`: the folder of a store that is a file.
    """

    inbox: Inbox
    metrics: Metrics
    work: Work
    config: Callable[[], Config]
    status: StatusApi
    max_hops: int
    here: str
    disk: Path | None


def build_faces(parts: Parts) -> Faces:
    """Build each part."""
    sources = parts.config().sources
    spellings = {name: each.spelling for name, each in sources.items() if each.spelling != USUAL}
    spelling_of, link = partial(_spelling_of, spellings), parts.work.links.run
    looks = LooksApi(inbox=parts.inbox, sources=sources, link=link, spelling_of=spelling_of)
    refusals, counting = RefusalsApi(inbox=parts.inbox), Counting(inbox=parts.inbox)
    api = Api(
        inbox=parts.inbox,
        mapping=parts.work.mapping,
        counting=counting,
        metrics=parts.metrics,
        sources=sources,
        max_hops=parts.max_hops,
    )
    return Faces(
        api=api,
        status=parts.status,
        looks=looks,
        orders=OrdersApi(inbox=parts.inbox, working=parts.work.orders),
        outcomes=OutcomesApi(following=parts.work.following, airflows=parts.work.airflows),
        audit=AuditApi(inbox=parts.inbox),
        refusals=refusals,
        pauses=PausesApi(pausing=parts.work.pausing),
        causes=CausesApi(inbox=parts.inbox),
        history=HistoryApi(counting=counting),
        links=parts.work.links,
        why=WhyApi(inbox=parts.inbox, around=Around(sources, api.plan_of, link, spelling_of)),
        bodies=BodiesApi(inbox=parts.inbox, spellings=spellings),
        erasing=ErasingApi(inbox=parts.inbox, spellings=spellings),
        waiting=WaitingApi(inbox=parts.inbox),
        exporting=ExportingApi(inbox=parts.inbox),
        verifying=_verifying(parts),
        stream=StreamApi(tailing=parts.work.tailing),
        telling=TellingApi(telling=parts.work.telling),
        examining=_examining(parts, looks, refusals),
        replicas=ReplicasApi(inbox=parts.inbox),
        missed=MissedApi(looks=parts.work.looks),
    )


def _spelling_of(spellings: Mapping[str, Spelling], source: str) -> Spelling:
    return spellings.get(source, USUAL)


def _verifying(parts: Parts) -> VerifyingApi:
    airflows = {name: airflow for name, (_, airflow) in parts.work.airflows.items()}
    return VerifyingApi(inbox=parts.inbox, airflows=airflows, dags=lambda: dags_of(parts.work.mapping.current()))


def _examining(parts: Parts, looks: LooksApi, refusals: RefusalsApi) -> ExaminingApi:
    return ExaminingApi(
        inbox=parts.inbox,
        config=parts.config,
        mapping=parts.work.mapping.current,
        here=parts.here,
        disk=parts.disk,
        status=parts.status,
        looks=looks,
        refusals=refusals,
    )
