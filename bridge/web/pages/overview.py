"""The first page: is all well, what needs a person, and where everything stands."""

from starlette.responses import Response

from bridge.web.faces import Faces
from bridge.web.pages.asking import Asked
from bridge.web.pages.drawing import Drawing


class Overview:
    """Draws `/`."""

    def __init__(self, drawing: Drawing, faces: Faces) -> None:
        """Asks the same as `GET /api/v1/status`."""
        self._drawing = drawing
        self._faces = faces

    def show(self, asked: Asked) -> Response:
        """Show whether all is well, what needs a person, and where everything stands."""
        return self._drawing.page("overview.html", asked, status_of=self._faces.status.status())
