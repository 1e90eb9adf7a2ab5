"""What answers the API, part by part; the pages are other faces of the same."""

from dataclasses import dataclass

from bridge.web.api import Api
from bridge.web.audit import AuditApi
from bridge.web.bodies import BodiesApi
from bridge.web.causes import CausesApi
from bridge.web.erasing import ErasingApi
from bridge.web.examining import ExaminingApi
from bridge.web.exporting import ExportingApi
from bridge.web.history import HistoryApi
from bridge.web.links import Links
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


@dataclass(frozen=True, slots=True)
class Faces:
    """Each part once."""

    api: Api
    status: StatusApi
    looks: LooksApi
    orders: OrdersApi
    outcomes: OutcomesApi
    audit: AuditApi
    refusals: RefusalsApi
    pauses: PausesApi
    causes: CausesApi
    why: WhyApi
    links: Links
    history: HistoryApi
    bodies: BodiesApi
    erasing: ErasingApi
    waiting: WaitingApi
    exporting: ExportingApi
    verifying: VerifyingApi
    stream: StreamApi
    telling: TellingApi
    examining: ExaminingApi
    missed: MissedApi
    replicas: ReplicasApi
