"""Pages for people: the faces of the API as HTML, drawn on the server. Nothing here reads the store by itself.

    a look     GET -> a method of the API, in a thread -> a template, in that thread, too
    a change   POST, with the form token of the session -> the same method that the API calls -> 303 to where it shows

Every page works without scripts. What a role may not do is not shown, and is refused all the same.
"""

from starlette.routing import Route

from bridge.edges.openid import Provider
from bridge.web.faces import Faces
from bridge.web.pages.attention import Attention
from bridge.web.pages.deliveries import Deliveries
from bridge.web.pages.drawing import Drawing
from bridge.web.pages.endpoints import Endpoints, Threads
from bridge.web.pages.entering import Entering
from bridge.web.pages.mapping import MappingPages
from bridge.web.pages.openid import OpenIdPages
from bridge.web.pages.overview import Overview
from bridge.web.pages.records import Records
from bridge.web.pages.steering import Steering
from bridge.web.sign_in import Door
from bridge.words.roles import Role

__all__ = ["Pages", "Threads"]


class Pages:
    """Every page."""

    def __init__(
        self,
        faces: Faces,
        door: Door,
        *,
        threads: Threads,
        public_url: str | None,
        provider: Provider | None,
        framed_by: str | None,
    ) -> None:
        """`public_url` is where people reach the pages, `provider` where they may sign in beside tokens.

        `framed_by`: sites that may show them in a frame.
        """
        drawing = Drawing(framed_by)
        self._endpoints = Endpoints(drawing, threads)
        self._entering = Entering(drawing, door, public_url=public_url)
        self._openid = OpenIdPages(drawing, door, self._entering.page, provider, public_url=public_url)
        self._overview = Overview(drawing, faces)
        self._deliveries = Deliveries(drawing, faces)
        self._steering = Steering(drawing, faces)
        self._mapping = MappingPages(drawing, faces)
        self._records = Records(drawing, faces)
        self._attention = Attention(drawing, faces)
        self.refusal = self._entering.refusal

    def routes(self) -> list[Route]:
        """Return the path of every page, each with the least role that may see it or send it."""
        look, change, trial = self._endpoints.look, self._endpoints.change, self._endpoints.trial
        return [
            *self._entering.routes(),
            *self._openid.routes(),
            change("/sign-out", self._entering.sign_out, Role.VIEWER),
            look("/", self._overview.show),
            look("/examination", self._overview.examination, Role.OPERATOR),
            change("/examine", self._overview.examine),
            look("/deliveries", self._deliveries.show),
            look("/deliveries/{id}", self._deliveries.delivery),
            look("/triggers/{id}", self._deliveries.trigger),
            look("/attention", self._attention.show),
            look("/routes", self._mapping.routes),
            change("/pause", self._mapping.pause),
            change("/resume", self._mapping.resume),
            look("/try", self._mapping.form),
            trial("/try", self._mapping.try_),
            look("/refusals", self._records.refusals, Role.OPERATOR),
            look("/audit", self._records.audit, Role.ADMIN),
            look("/orders", self._steering.orders),
            change("/orders", self._steering.place),
            look("/orders/new", self._steering.confirm, Role.OPERATOR),
            look("/orders/{id}", self._steering.order),
            change("/orders/{id}/stop", self._steering.stop),
        ]
