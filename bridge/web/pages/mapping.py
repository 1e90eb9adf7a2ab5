"""The mapping on pages: its routes and their pauses, and what it makes of a body that somebody pastes."""

import json
from typing import Any

from starlette.responses import Response

from bridge.rules import views
from bridge.web.faces import Faces
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing, lead
from bridge.words.errors import BadFilter, BridgeError
from bridge.words.pauses import PauseKind

_EXAMPLE = {
    "id": "evt_1",
    "type": "job.succeeded",
    "timestamp": "2025-03-27T14:26:20Z",
    "data": {"id": "job_1", "status": "succeeded", "pipeline_id": "YOUR PIPELINE", "parameters": {}},
}


class MappingPages:
    """Draws `/routes` and `/try`."""

    def __init__(self, drawing: Drawing, faces: Faces) -> None:
        """Asks the same as `GET /api/v1/routes`, `POST /api/v1/explain`, `pause` and `resume`."""
        self._drawing = drawing
        self._faces = faces

    def routes(self, asked: Asked) -> Response:
        """Show the mapping in use, what is wrong with its file, and every route; operators pause and resume here."""
        status = self._faces.status.status()
        routes = self._faces.api.routes()["routes"]
        paused = {(each["kind"], each["name"]): each for each in status["paused"]}
        return self._drawing.page(
            "routes.html",
            asked,
            mapping=status["mapping"],
            replicas=status["replicas"],
            differs=any(need["what"] == "mapping_differs" for need in status["needs"]),
            routes=routes,
            idle=[each["name"] for each in routes if each["has_none"]],
            dags={(each["airflow"], each["dag_id"]): each for each in status["dags"]},
            paused=paused,
            others=[each for (kind, _), each in paused.items() if kind != PauseKind.ROUTE or each["is_gone"]],
            places=[("source", name) for name in self._faces.api.source_names]
            + [("airflow", each["name"]) for each in status["airflows"]],
        )

    def pause(self, asked: Asked) -> Response:
        """Pause a route, a source or an Airflow, for so long or until it is resumed, and lead to the routes."""
        self._faces.pauses.pause(body=_ordered(asked, "kind", "name", "for", "reason"), caller=asked.caller)
        return lead("/routes")

    def resume(self, asked: Asked) -> Response:
        """End a pause, and lead to the routes."""
        self._faces.pauses.resume(body=_ordered(asked, "kind", "name", "reason"), caller=asked.caller)
        return lead("/routes")

    def form(self, asked: Asked) -> Response:
        """Show the form to try a body: what would start, with nothing sent."""
        return self._try_page(asked, {"payload": json.dumps(_EXAMPLE, indent=2)}, None, None)

    def try_(self, asked: Asked) -> Response:
        """Show what the mapping in use, or one that is pasted, makes of a pasted body; nothing is stored or sent."""
        form = asked.form
        try:
            order = {name: form[name] for name in ("source", "mapping") if name in form}
            body = views.dump(order | {"payload": _payload(form.get("payload", ""))})
            plan = self._faces.api.explain(body=body, caller=asked.caller)
        except BridgeError as error:
            return self._try_page(asked, form, None, str(error), status=400)
        return self._try_page(asked, form, plan, None)

    def _try_page(
        self, asked: Asked, form: Any, plan: views.Json | None, problem: str | None, status: int = 200
    ) -> Response:
        sources = self._faces.api.source_names
        return self._drawing.page(
            "try.html", asked, status=status, form=form, plan=plan, problem=problem, sources=sources
        )


def _payload(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFilter(f"the body is not JSON: {error}") from None


def _ordered(asked: Asked, *names: str) -> bytes:
    return json.dumps({name: asked.form[name] for name in names if name in asked.form}).encode()
