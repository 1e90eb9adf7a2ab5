"""Builds every part of the admin API once. A new part is listed in web/faces.py and built here."""

from collections.abc import Callable
from pathlib import Path

from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.edges.settings import Config
from bridge.flows.counting import Counting
from bridge.flows.explaining import Around
from bridge.flows.verifying import dags_of
from bridge.rules.event import USUAL
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
from bridge.web.orders import OrdersApi
from bridge.web.outcomes import OutcomesApi
from bridge.web.pauses import PausesApi
from bridge.web.refusals import RefusalsApi
from bridge.web.status import StatusApi
from bridge.web.stream import StreamApi
from bridge.web.verifying import VerifyingApi
from bridge.web.waiting import WaitingApi
from bridge.web.why import WhyApi
from bridge.wiring.work import Work


def build_faces(
    *,
    inbox: Inbox,
    metrics: Metrics,
    work: Work,
    config: Callable[[], Config],
    status: StatusApi,
    max_hops: int,
    here: str,
    disk: Path | None,
) -> Faces:
    """Build them over the objects of one process; `here` is the public listener's URL, `disk` the store's folder."""
    sources = config().sources
    looks = LooksApi(inbox=inbox, sources=sources, link=work.links.run)
    refusals = RefusalsApi(inbox=inbox)
    api = Api(
        inbox=inbox,
        mapping=work.mapping,
        metrics=metrics,
        sources=sources,
        airflows=work.airflows,
        max_hops=max_hops,
    )
    spellings = {name: each.spelling for name, each in sources.items() if each.spelling != USUAL}
    return Faces(
        api=api,
        status=status,
        looks=looks,
        orders=OrdersApi(inbox=inbox, working=work.orders),
        outcomes=OutcomesApi(following=work.following, airflows=work.airflows),
        audit=AuditApi(inbox=inbox),
        refusals=refusals,
        pauses=PausesApi(pausing=work.pausing),
        causes=CausesApi(inbox=inbox),
        history=HistoryApi(counting=Counting(inbox=inbox)),
        links=work.links,
        why=WhyApi(inbox=inbox, around=Around(sources, api.plan_of, work.links.run)),
        bodies=BodiesApi(inbox=inbox, spellings=spellings),
        erasing=ErasingApi(inbox=inbox, spellings=spellings),
        waiting=WaitingApi(inbox=inbox),
        exporting=ExportingApi(inbox=inbox),
        verifying=VerifyingApi(
            inbox=inbox,
            airflows={name: airflow for name, (_, airflow) in work.airflows.items()},
            dags=lambda: dags_of(work.mapping.current()),
        ),
        stream=StreamApi(tailing=work.tailing),
        examining=ExaminingApi(
            inbox=inbox,
            config=config,
            mapping=work.mapping.current,
            here=here,
            disk=disk,
            status=status,
            looks=looks,
            refusals=refusals,
        ),
    )
