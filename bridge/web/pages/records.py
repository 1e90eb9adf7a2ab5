"""What is recorded: requests that were refused at the public door, copies, and who did what."""

from datetime import UTC, datetime

from starlette.responses import Response

from bridge.web.faces import Faces
from bridge.web.pages import finding
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing
from bridge.words.refusals import RefusalKind

_REFUSAL_FILTERS = ("kind", "source", "reason", "copy_of", "since", "until", "after")
_AUDIT_FILTERS = ("actor", "subject", "since", "until", "after")


class Records:
    """Draws `/refusals` and `/audit`."""

    def __init__(self, drawing: Drawing, faces: Faces) -> None:
        """Asks the same as `GET /api/v1/refusals` and `/api/v1/audit`."""
        self._drawing = drawing
        self._faces = faces

    def refusals(self, asked: Asked) -> Response:
        """List the last thousand requests that were refused at the public door, and as many copies; never a body."""
        wanted = finding.filters(asked.query, _REFUSAL_FILTERS, now=datetime.now(UTC))
        shown = self._faces.refusals.refusals(query=wanted)
        return self._drawing.page(
            "refusals.html",
            asked,
            rows=shown["refusals"],
            query=asked.query,
            kinds=list(RefusalKind),
            sources=self._faces.api.source_names,
            newest=finding.newest("/refusals", asked.query),
            older=finding.older("/refusals", asked.query, shown["next"]),
        )

    def audit(self, asked: Asked) -> Response:
        """List who replayed, cancelled, paused, erased, signed in or failed to, and changed the mapping."""
        wanted = finding.filters(asked.query, _AUDIT_FILTERS, now=datetime.now(UTC))
        shown = self._faces.audit.audit(query=wanted)
        return self._drawing.page(
            "audit.html",
            asked,
            rows=shown["audit"],
            query=asked.query,
            newest=finding.newest("/audit", asked.query),
            older=finding.older("/audit", asked.query, shown["next"]),
        )
