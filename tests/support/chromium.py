"""A person at the pages with a real Chromium (scripts/debian.sh chromium), who notices what a page does wrong.

    with Chromium(bridge.admin_port) as chromium:
        reader = chromium.reader(theme="dark", width=390)
        reader.sign_in()
        reader.open("/deliveries")
        assert reader.faults == []

A fault is an error on the console (what the policy keeps out is one), an answer of 4xx or 5xx to a part of a page, and
a request to anywhere else. `reader.page` is Playwright's.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

from deploy.demo.airflow import REPOSITORY
from tests.support.service import PATIENCE_SECONDS, TOKEN

SHOTS = REPOSITORY / "build" / "pages"
NARROW, WIDE = 390, 1200
Theme = Literal["light", "dark"]
PROGRAM = REPOSITORY / ".cache" / "debian" / "chromium"
# No sandbox: tests may run as root. Nothing of its own goes to the network.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
_GRAVE = ("serious", "critical")


class Reader:
    """One browser window: its page, and what went wrong in it."""

    def __init__(self, context: BrowserContext, base: str, axe: Axe) -> None:
        """Begin to notice."""
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self._context = context
        self._base = base
        self._axe = axe
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("request", self._see_request)
        self.page.on("response", self._see_response)

    def sign_in(self, token: str = TOKEN) -> None:
        """Sign in by the form."""
        self.open("/sign-in")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()

    def kept(self) -> Any:
        """Return what the window keeps of its session, for other windows."""
        return self._context.storage_state()

    def open(self, path: str) -> Response:
        """Open a page of the bridge, and return its answer."""
        answer = self.page.goto(self._base + path)
        assert answer is not None
        return answer

    def text(self) -> str:
        """Return what the page says."""
        return " ".join(self.page.locator("main").inner_text().split())

    def put_on(self, theme: Theme, width: int) -> None:
        """Look with another theme and width; the page stays."""
        self.page.emulate_media(color_scheme=theme)
        self.page.set_viewport_size({"width": width, "height": 900})

    def overhang(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def grave(self) -> list[str]:
        """Return what axe calls serious or critical: the rule, and where."""
        found = self._axe.run(self.page, options={"resultTypes": ["violations"], "iframes": False})
        return [
            f"{each['id']}: {each['nodes'][0]['html'][:200]}"
            for each in found.response["violations"]
            if each["impact"] in _GRAVE
        ]

    def shoot(self, name: str) -> Path:
        """Keep a picture of the whole page in an ignored folder."""
        place = SHOTS / f"{name}.png"
        self.page.screenshot(path=place, full_page=True)
        return place

    def close(self) -> None:
        """Close the window."""
        self._context.close()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"console: {message.text}")

    def _see_request(self, request: Request) -> None:
        if not request.url.startswith((self._base + "/", "data:")):
            self.faults.append(f"outside: {request.url}")

    def _see_response(self, response: Response) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")


class Chromium:
    """One browser with nobody's settings, for windows that share nothing."""

    def __init__(self, admin_port: int) -> None:
        """Skips where nobody has fetched the program, and says how."""
        if not PROGRAM.exists():
            pytest.skip("there is no Chromium: run scripts/debian.sh chromium")
        self._base = f"http://127.0.0.1:{admin_port}"
        self._axe = Axe()

    def __enter__(self) -> Self:
        """Start it."""
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._browser.close()
        self._playwright.stop()

    def reader(self, *, theme: Theme = "light", width: int = WIDE, scripts: bool = True, **more: Any) -> Reader:
        """Open a window; without `scripts` it runs none."""
        context = self._browser.new_context(
            color_scheme=theme, viewport={"width": width, "height": 900}, java_script_enabled=scripts, **more
        )
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        return Reader(context, self._base, self._axe)
