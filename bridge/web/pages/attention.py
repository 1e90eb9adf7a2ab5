"""What failed, is held or ended badly, a line for each cause: 500 failures of one DAG are one line.

Below it what deliveries need, and triggers that came too late, as the overview has them.
"""

from starlette.responses import Response

from bridge.rules import attention
from bridge.web.faces import Faces
from bridge.web.pages import finding
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing, place_of_need

_VERBS = {"replay": "Replay", "run_again": "Run again", "cancel": "Cancel"}


class Attention:
    """Draws `/attention`."""

    def __init__(self, drawing: Drawing, faces: Faces) -> None:
        """Asks the same as `GET /api/v1/causes` and `GET /api/v1/status`."""
        self._drawing = drawing
        self._faces = faces

    def show(self, asked: Asked) -> Response:
        """Show what failed, is held or ended badly by cause, route and DAG, and what can be done with each group.

        And what deliveries need a person, as the overview has it.
        """
        shown = self._faces.causes.causes(query={})
        groups = [
            group
            | {
                "list": finding.address("/deliveries", group["filter"]),
                "acts": [(_VERBS[each], self._confirm(each, group["filter"])) for each in group["actions"]],
            }
            for group in shown["causes"]
        ]
        return self._drawing.page(
            "attention.html",
            asked,
            groups=groups,
            needs=[
                need | {"place": place_of_need(need, asked.caller)}
                for need in attention.view(self._faces.status.needs_of_deliveries())["needs"]
            ],
            total=shown["count"],
            left_out=shown["left_out"],
            is_whole=shown["is_whole"],
        )

    @staticmethod
    def _confirm(action: str, chosen: dict[str, str]) -> str:
        return finding.address("/orders/new", {"action": action, "back": "/attention", **chosen})
