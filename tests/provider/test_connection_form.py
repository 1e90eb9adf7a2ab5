"""A person makes the connection in Airflow's own pages, with a real Chromium (scripts/debian.sh chromium)."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from deploy.airflow.planasonix_provider import connection_form
from tests.support.airflow_server import AirflowServer
from tests.support.chromium import FLAGS, PROGRAM
from tests.support.runs_api import KEY
from tests.support.service import PATIENCE_SECONDS

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]
NAME = "planasonix_by_hand"
TOKEN = "viewer-token-of-the-tests-0001"


@pytest.fixture
def page(airflow: AirflowServer) -> Iterator[Page]:
    """Airflow's pages, for an admin; the connection is gone afterwards."""
    if not PROGRAM.exists():
        pytest.skip("there is no Chromium: run scripts/debian.sh chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        item = browser.new_page(viewport={"width": 1200, "height": 1600})
        item.set_default_timeout(PATIENCE_SECONDS * 1000)
        item.goto(f"{airflow.url}/connections")
        item.get_by_label("Username").fill("admin")
        item.get_by_label("Password").fill(airflow.passwords["admin"])
        item.get_by_role("button", name="Sign in").click()
        yield item
        browser.close()
    airflow.api.call("DELETE", f"/connections/{NAME}")


def test_a_person_makes_the_connection_in_airflows_pages(airflow: AirflowServer, page: Page) -> None:
    """The type is offered; the form has our labels and fields, hides what is not used, and the key is a password."""
    page.get_by_role("button", name="Add Connection").first.click()
    form = page.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill(NAME)
    form.get_by_role("combobox").first.click()
    page.keyboard.type("planasonix")
    page.get_by_role("option", name="Planasonix", exact=True).click()
    for name, label in connection_form.LABELS.items():
        form.get_by_text(label, exact=True).wait_for()
        assert form.locator(f"input[name={name}]").get_attribute("placeholder") == connection_form.PLACEHOLDERS.get(
            name, ""
        )
    assert form.locator("input[name=password]").get_attribute("type") == "password"
    assert form.locator("input[name=port]").count() == form.locator("input[name=schema]").count() == 0
    form.locator("input[name=host]").fill("http://127.0.0.1:9")
    form.locator("input[name=password]").fill(KEY)
    form.get_by_role("button", name="Extra Fields", exact=True).click()
    for field in connection_form.FIELDS:
        form.get_by_text(field.label, exact=True).wait_for()
        form.get_by_text(field.description, exact=True).wait_for()
    assert form.locator("#element_bridge_token").get_attribute("type") == "password"
    form.locator("#element_environment").fill("production")
    form.locator("#element_bridge_token").fill(TOKEN)
    form.get_by_role("button", name="Save").click()
    form.wait_for(state="hidden")

    made = airflow.get(f"/connections/{NAME}")
    assert (made["conn_type"], made["host"]) == ("planasonix", "http://127.0.0.1:9")
    assert json.loads(made["extra"])["environment"] == "production"
    assert KEY not in json.dumps(made), "Airflow shows no key"
    assert TOKEN not in json.dumps(made), "nor a token"
