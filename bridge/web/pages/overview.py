"""The first page: is all well, what needs a person, and where everything stands."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from bridge.rules import charts, showing, views
from bridge.web.faces import Faces
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing, lead, place_of_need

_COUNTS = (("accepted", "Webhooks accepted"), ("fired", "DAG runs started"), ("failed", "Triggers failed"))


class Overview:
    """Draws `/` and `/examination`."""

    def __init__(self, drawing: Drawing, faces: Faces) -> None:
        """Asks the same as `GET /api/v1/status`, `GET /api/v1/history` and `GET /api/v1/examination`."""
        self._drawing = drawing
        self._faces = faces

    def show(self, asked: Asked) -> Response:
        """Show whether all is well, what needs a person, and where everything stands."""
        status_of = self._faces.status.status()
        hours = self._faces.history.history()["hours"]
        needs, notes = (
            [need | {"place": place_of_need(need, asked.caller)} for need in status_of[kind]]
            for kind in ("needs", "notes")
        )
        return self._drawing.page(
            "overview.html",
            asked,
            status_of=status_of,
            needs=needs,
            notes=notes,
            well_since=status_of["well_since"],
            sources=status_of["sources"],
            paused_routes=sum(each["kind"] == "route" and not each["is_gone"] for each in status_of["paused"]),
            hours=hours,
            charts=_charts(hours),
            height=charts.HEIGHT,
            width=charts.WIDTH,
        )

    def examination(self, asked: Asked) -> Response:
        """Show the last examination of the whole way of a webhook, step by step, while it runs, too."""
        found = self._faces.examining.examination()
        verdicts = [each["verdict"] for each in found["findings"]]
        counts = {verdict: verdicts.count(verdict) for verdict in ("wrong", "unknown", "fine")}
        return self._drawing.page("examination.html", asked, examination=found, counts=counts)

    def examine(self, asked: Asked) -> Response:
        """Start an examination unless one runs, and lead to what it finds."""
        self._faces.examining.examine(caller=asked.caller)
        return lead("/examination")


def _charts(hours: Sequence[views.Json]) -> list[dict[str, Any]]:
    """Return what came of each hour as charts: counts side by side on one scale, then how long data took."""
    counts = [[hour[name] for hour in hours] for name, _ in _COUNTS]
    upto = charts.ceiling([value for each in counts for value in each])
    drawn = [
        {
            "name": name,
            "title": title,
            "total": showing.number(sum(values)),
            "top": showing.number(int(upto)),
            "bars": charts.bars(values, upto=upto),
        }
        for (name, title), values in zip(_COUNTS, counts, strict=True)
    ]
    ready = [hour["ready_seconds"] or 0.0 for hour in hours]
    longest = charts.ceiling(ready)
    known = [value for value in ready if value]
    return [
        *drawn,
        {
            "name": "ready",
            "title": "Webhook to data ready, median",
            "total": showing.duration(known[-1]) if known else "no run has ended",
            "top": showing.duration(longest),
            "bars": charts.bars(ready, upto=longest),
        },
    ]
