"""The first page: is all well, what needs a person, and where everything stands."""

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from bridge.rules import attention, charts, showing, views
from bridge.web.faces import Faces
from bridge.web.pages import finding
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing

_COUNTS = (("accepted", "Webhooks accepted"), ("fired", "DAG runs started"), ("failed", "Triggers failed"))


class Overview:
    """Draws `/`."""

    def __init__(self, drawing: Drawing, faces: Faces) -> None:
        """Asks the same as `GET /api/v1/status` and `GET /api/v1/history`."""
        self._drawing = drawing
        self._faces = faces

    def show(self, asked: Asked) -> Response:
        """Show whether all is well, what needs a person, and where everything stands."""
        status_of = self._faces.status.status()
        hours = self._faces.history.history()["hours"]
        needs, notes = ([need | {"place": _place(need)} for need in status_of[kind]] for kind in ("needs", "notes"))
        last = {each["name"]: each["last_delivery"] for each in status_of["sources"]}
        return self._drawing.page(
            "overview.html",
            asked,
            status_of=status_of,
            needs=needs,
            notes=notes,
            well_since=status_of["well_since"],
            sources=[(name, last.get(name)) for name in self._faces.api.source_names],
            hours=hours,
            charts=_charts(hours),
            height=charts.HEIGHT,
            width=charts.WIDTH,
        )


def _place(need: views.Json) -> str:
    """Return the page where a person does the next step."""
    return finding.address(*attention.place(need["what"], need["filter"]))


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
