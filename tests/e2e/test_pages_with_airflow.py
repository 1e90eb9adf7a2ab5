"""A person with a real Chromium, at the pages of a bridge with a real Airflow: from the question to the run."""

from collections.abc import Callable

import pytest

from tests.support.airflow_server import AirflowServer
from tests.support.chromium import Chromium, Reader
from tests.support.service import BridgeProcess, body
from tests.web.browser.support import mend

pytestmark = [pytest.mark.airflow, pytest.mark.crash, pytest.mark.timeout(600)]
MAPPING = """\
routes:
  - {name: orders, pipeline: pl_8f2a9c1d4e, dag: open_incident}
"""
MENDED = "  - {name: story, pipeline: pl_story, dag: refresh_sales_marts}\n"


def test_why_nothing_ran_is_read_and_mended(
    start_bridge: Callable[..., BridgeProcess], executing_airflow: AirflowServer
) -> None:
    """By pipeline to the delivery, why, a route, replay; it turns green by itself; its route is paused and resumed.

    And the link leads to the run in Airflow.
    """
    bridge = start_bridge(airflow_url=executing_airflow.url, mapping=MAPPING, settings={"BRIDGE_FOLLOW_SECONDS": "0.5"})
    with Chromium(bridge.admin_port) as chromium:
        reader = chromium.reader()
        reader.sign_in()
        mend(bridge, reader, mapping=MAPPING, mended=MENDED)
        reader.page.locator(".way .is-success").wait_for()
        link = reader.page.get_by_role("link", name="Open in Airflow").get_attribute("href")
        _pause_and_resume(bridge, reader)
        reader.close()
        assert reader.faults == []

        assert link is not None
        assert link in [each["link"] for each in bridge.triggers(route="story")]
        _look_at_the_run(chromium.reader(), executing_airflow, link)


def _pause_and_resume(bridge: BridgeProcess, reader: Reader) -> None:
    """What comes for a paused route waits, and its run ends well once the route is resumed."""
    reader.open("/routes")
    reader.page.get_by_role("button", name="Pause route story").click()
    reader.page.get_by_role("button", name="Resume route story").wait_for()
    delivery = bridge.send(body(event="evt_paused", pipeline="pl_story")).json()["delivery_id"]
    reader.open(f"/deliveries/{delivery}")
    reader.page.locator(".way .is-held").wait_for()
    assert "paused_by_person" in reader.text()
    reader.open("/routes")
    reader.page.get_by_role("button", name="Resume route story").click()
    reader.page.get_by_role("button", name="Pause route story").wait_for()
    reader.open(f"/deliveries/{delivery}")
    reader.page.locator(".way .is-success").wait_for()


def _look_at_the_run(reader: Reader, airflow: AirflowServer, link: str) -> None:
    """Sign in to Airflow on the way; the page is that of the run."""
    page = reader.page
    answer = page.goto(link)
    assert answer is not None
    assert answer.status == 200
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(airflow.passwords["admin"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{link}**")
    page.get_by_text("refresh_sales_marts").first.wait_for()
    reader.close()
