"""Every page as a reader has it: light, dark, and on a phone."""

import pytest

from tests.support.chromium import NARROW, SHOTS, WIDE, Chromium, Reader, Theme
from tests.support.service import BridgeProcess
from tests.web.browser.support import PAGES, address

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]
LOOKS: tuple[tuple[Theme, int], ...] = (("light", WIDE), ("dark", WIDE), ("light", NARROW))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody(name: str, planted: BridgeProcess, reader: Reader) -> None:
    """In both themes and at 390 px: axe and the console find nothing, nothing comes from outside, no overhang."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    assert reader.open(address(planted, PAGES[name])).status == 200
    for theme, width in LOOKS:
        reader.put_on(theme, width)
        reader.shoot(f"{name}-{theme}-{width}")
        assert reader.grave() == [], (theme, width)
        assert reader.overhang() == 0, (theme, width)


def test_the_form_to_sign_in_can_be_read_by_everybody(chromium: Chromium) -> None:
    """By whoever has not signed in yet, too."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    reader = chromium.reader()
    reader.open("/sign-in")
    for theme, width in LOOKS:
        reader.put_on(theme, width)
        reader.shoot(f"sign-in-{theme}-{width}")
        assert reader.grave() == [], (theme, width)
        assert reader.overhang() == 0, (theme, width)
    reader.close()
    assert reader.faults == []
