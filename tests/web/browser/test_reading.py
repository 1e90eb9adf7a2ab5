"""A page goes on while somebody looks at it, waits while somebody reads in it, and says so."""

import pytest

from tests.support.chromium import NARROW, WIDE, Chromium, Reader
from tests.support.service import BridgeProcess, body
from tests.web.browser.support import address

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]
WAITS = "Not updated while you read: reload for the newest."


def _said(reader: Reader, text: str) -> None:
    """Wait until the page says this, and nothing else."""
    reader.page.wait_for_function("text => document.getElementById('said').textContent === text", arg=text)


def test_a_page_that_waits_for_its_reader_says_so(planted: BridgeProcess, reader: Reader) -> None:
    """It is seen and read aloud, times go on meanwhile, and it is gone when the page goes on."""
    planted.send(body(event="evt_read", pipeline="pl_nobody"))
    reader.open("/")
    reader.page.get_by_text("The same as a table").click()
    _said(reader, WAITS)
    said = reader.page.get_by_role("status")
    assert said.is_visible()
    assert said.bounding_box()["y"] < reader.page.viewport_size["height"]  # type: ignore[index]
    heard = reader.page.get_by_role("row", name="Source planasonix").locator("time").first
    before = heard.inner_text()
    heard.filter(has_not_text=before).wait_for()
    for theme, width in (("light", WIDE), ("dark", NARROW)):
        reader.put_on(theme, width)
        reader.shoot(f"overview-read-{theme}-{width}")
        assert (reader.grave(), reader.overhang()) == ([], 0)
    with reader.page.expect_response(lambda answer: "hx-request" in answer.request.headers):
        reader.page.get_by_text("The same as a table").click()
    _said(reader, "")


@pytest.mark.parametrize("path", ["/", "/routes", "/audit", "/attention"])
def test_whoever_goes_by_keyboard_keeps_the_place(path: str, reader: Reader) -> None:
    """A page that was changed below the focus would lose it."""
    reader.open(path)
    place = reader.page.locator("#live a, #live button").first
    place.focus()
    _said(reader, WAITS)
    assert place.evaluate("each => each === document.activeElement")
    place.evaluate("each => each.blur()")
    _said(reader, "")


def test_a_page_goes_on_after_a_click(planted: BridgeProcess, reader: Reader) -> None:
    """What was copied is no reason to wait."""
    reader.open("/deliveries")
    reader.page.get_by_role("button", name="copy evt_").first.click()
    planted.send(body(event="evt_after_click", pipeline="pl_nobody"))
    reader.page.get_by_role("cell", name="evt_after_click").first.wait_for()


def test_without_a_clipboard_the_whole_text_is_chosen(
    planted: BridgeProcess, chromium: Chromium, signed_in: object
) -> None:
    """As browsers have none over plain http."""
    reader = chromium.reader(storage_state=signed_in)
    reader.page.add_init_script("Object.defineProperty(Navigator.prototype, 'clipboard', {get: () => undefined})")
    reader.open(address(planted, "/triggers/{fired!}"))
    reader.page.get_by_role("button", name="copy planasonix__").first.click()
    reader.page.get_by_text("chosen: copy it with your keys").first.wait_for()
    chosen = reader.page.evaluate("getSelection().toString()")
    assert chosen.startswith("planasonix__job_evt_")
    assert "\u2026" not in chosen
    reader.close()
    assert reader.faults == []
