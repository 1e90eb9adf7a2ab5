"""The mapping on pages: its routes, their pauses, and what it makes of a body that is pasted, a sample or stored."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from bridge.rules import samples, views
from bridge.web.faces import Faces
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing, lead
from bridge.words.errors import BadFilter, BridgeError, Forbidden
from bridge.words.pauses import PauseKind
from bridge.words.roles import Role

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
        """Show the form to try a body, a `sample` or, for operators, a `delivery`; nothing is stored or sent."""
        form = {name: asked.query[name] for name in ("delivery", "sample") if name in asked.query}
        body = _sample(form["sample"]) if "sample" in form else _EXAMPLE
        return self._try_page(asked, form | {"payload": json.dumps(body, indent=2)}, self._stored(asked, form))

    def try_(self, asked: Asked) -> Response:
        """Show what the mapping in use, or one that is pasted, makes of a body; nothing is stored or sent."""
        form = asked.form
        stored = self._stored(asked, form)
        try:
            plan = self._faces.api.explain(body=views.dump(_order(form)), caller=asked.caller)
        except BridgeError as error:
            return self._try_page(asked, form, stored, problem=str(error))
        return self._try_page(asked, form, stored, plan=plan)

    def _try_page(
        self,
        asked: Asked,
        form: Mapping[str, str],
        stored: views.Json | None,
        *,
        plan: views.Json | None = None,
        problem: str | None = None,
    ) -> Response:
        return self._drawing.page(
            "try.html",
            asked,
            status=200 if problem is None else 400,
            form=form,
            stored=stored,
            plan=plan,
            problem=problem,
            sources=self._faces.api.source_names,
            files=self._faces.api.mapping_files,
            samples=list(samples.SHAPES.values()),
        )

    def _stored(self, asked: Asked, form: Mapping[str, str]) -> views.Json | None:
        """Return the delivery that is tried, if any. Raises NotThere, and Forbidden for who may not see its body."""
        if "delivery" not in form:
            return None
        if not asked.caller.sees_payloads:
            raise Forbidden(Role.OPERATOR)
        return self._faces.looks.delivery(path={"id": form["delivery"]}, caller=asked.caller)


def _order(form: Mapping[str, str]) -> views.Json:
    """Return what `explain` is asked, given the form."""
    names = ("mapping", "file") if "mapping" in form else ()  # the form has a file in any case
    mapping = {name: form[name] for name in names if name in form}
    if "delivery" in form:
        return mapping | {"delivery_id": form["delivery"]}
    source = {"source": form["source"]} if "source" in form else {}
    return mapping | source | {"payload": _payload(form.get("payload", ""))}


def _sample(name: str) -> views.Json:
    try:
        return samples.changed(name, {})
    except ValueError as error:
        raise BadFilter(str(error)) from None


def _payload(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFilter(f"the body is not JSON: {error}") from None


def _ordered(asked: Asked, *names: str) -> bytes:
    return json.dumps({name: asked.form[name] for name in names if name in asked.form}).encode()
