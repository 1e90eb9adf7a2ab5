"""Every button does what it says, with scripts and live updates as most people have them."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bridge.edges.inbox.engine.ids import first_id
from tests.support.chromium import NARROW, WIDE, Chromium, Reader
from tests.support.service import PATIENCE_SECONDS, TOKEN, BridgeProcess, body, wait_for
from tests.web.browser.conftest import MAPPING
from tests.web.browser.support import address, mend

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]
_MANY = 12_000  # far more than are cancelled while somebody finds the button
_NUMBERS = f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {_MANY}) SELECT n FROM c)"  # noqa: S608
_FLOOD = (
    "INSERT INTO deliveries (id, dedup_key, source, state, received_at, due_at, key_id, headers, body)"
    " SELECT {id}, randomblob(32), 'planasonix', 'routed', {at}, 0, 'current', '{{}}', x'7b7d' FROM {series}",
    "INSERT INTO triggers (id, delivery_id, route, airflow, dag_id, dag_run_id, conf, max_age_seconds, state,"
    " created_at, due_at, age_from, reason) SELECT {id}, {id}, 'flood', 'default', 'load_flood', CAST({id} AS TEXT),"
    " '{{}}', 1, 'failed', {at}, 0, 0, 'attempts_used_up' FROM {series}",
)


def test_a_reader_signs_in_by_token_and_out(chromium: Chromium) -> None:
    """A wrong token is said; after signing in the page that was asked for opens; after signing out none does."""
    reader = chromium.reader()
    reader.open("/routes")
    reader.page.get_by_label("Token").fill("not the token")
    reader.page.get_by_role("button", name="Sign in").click()
    reader.page.get_by_role("alert").wait_for()
    reader.page.get_by_label("Token").fill(TOKEN)
    reader.page.get_by_role("button", name="Sign in").click()
    reader.page.get_by_role("heading", name="routes").wait_for()
    reader.page.get_by_role("button", name="Sign out").click()
    reader.page.get_by_label("Token").wait_for()
    reader.open("/")
    assert reader.page.get_by_label("Token").is_visible()
    reader.close()
    assert [fault for fault in reader.faults if "/sign-in" not in fault and "401" not in fault] == []


def test_what_comes_is_shown_when_it_comes(planted: BridgeProcess, reader: Reader) -> None:
    """The page listens to the bridge, and shows a new delivery without being loaded anew."""
    with reader.page.expect_response("**/api/v1/stream") as heard:
        reader.open("/deliveries")
    assert (heard.value.status, heard.value.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    reader.page.evaluate("document.body.dataset.same = 'yes'")
    planted.send(body(event="evt_just_now", pipeline="pl_nobody"))
    reader.page.get_by_role("cell", name="evt_just_now").first.wait_for()
    assert reader.page.evaluate("document.body.dataset.same") == "yes"


def test_any_id_is_found_and_lists_are_filtered(planted: BridgeProcess, reader: Reader) -> None:
    """An event leads to its delivery; a filter stands in the address; what does not match is said, with a way back."""
    reader.open("/deliveries")
    reader.page.get_by_label("Find any id").fill("evt_4")
    reader.page.get_by_role("button", name="Find").click()
    reader.page.wait_for_url("**" + address(planted, "/deliveries/{evt_4}"))
    reader.open("/deliveries")
    reader.page.get_by_label("State").select_option("stale")
    reader.page.get_by_role("button", name="Show", exact=True).click()
    reader.page.wait_for_url("**/deliveries?state=stale*")
    assert "evt_old" in reader.text()
    assert "evt_4" not in reader.text()
    reader.open("/deliveries?pipeline_id=pl_none")
    reader.page.get_by_role("link", name="Show all deliveries").click()
    reader.page.wait_for_url("**/deliveries")


def test_a_time_is_typed_in_the_zone_of_its_reader(
    planted: BridgeProcess, chromium: Chromium, signed_in: object
) -> None:
    """It stands beside the field, goes into the address, and stays what it was for whoever gets the link."""
    typed = (datetime.now(ZoneInfo("Asia/Tokyo")) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")  # to come, in UTC
    reader = chromium.reader(storage_state=signed_in, timezone_id="Asia/Tokyo")
    reader.open("/deliveries")
    reader.page.get_by_label("Since (Asia/Tokyo)").fill(typed)
    reader.page.get_by_role("button", name="Show", exact=True).click()
    reader.page.wait_for_url("**/deliveries?*zone=Asia%2FTokyo")
    assert "evt_4" in reader.text()
    link = reader.page.url.removeprefix(f"http://127.0.0.1:{planted.admin_port}")
    reader.close()
    other = chromium.reader(storage_state=signed_in, timezone_id="Europe/Berlin")
    other.open(link)
    assert other.page.get_by_label("Since (Asia/Tokyo)").input_value() == typed
    assert "evt_4" in other.text()
    other.open("/deliveries")
    other.page.get_by_label("State").select_option("stale")
    other.page.get_by_role("button", name="Show", exact=True).click()
    other.page.wait_for_url("**/deliveries?state=stale*")
    assert "zone" not in other.page.url
    other.close()
    assert reader.faults + other.faults == []


def test_why_nothing_ran_is_read_and_mended(planted: BridgeProcess, reader: Reader) -> None:
    """By pipeline to the delivery, why no route matched, a route for it, replay; the page turns green by itself."""
    mend(planted, reader, mapping=MAPPING, mended="  - {name: story, pipeline: pl_story, dag: load_orders}\n")
    reader.page.locator(".way .is-started").wait_for()


def test_a_run_is_started_again_and_a_held_trigger_cancelled(planted: BridgeProcess, reader: Reader) -> None:
    """Each by its own button, of the trigger or beside it; it leads to the order, and that to where it was pressed."""
    fired = planted.triggers(route="nightly")[0]["id"]
    reader.open(f"/triggers/{fired}")
    reader.page.get_by_role("button", name="Start a new DAG run").click()
    reader.page.locator("h1 .is-done").wait_for()
    wait_for(lambda: len(planted.triggers(route="nightly")) == 2, seconds=10, what="one more")
    reader.open(f"/deliveries/{planted.triggers(route='returns')[0]['delivery_id']}")
    reader.page.get_by_role("button", name="Cancel this trigger of returns").click()
    reader.page.locator("h1 .is-done").wait_for()
    reader.page.get_by_role("link", name="Back to where you were").click()
    reader.page.locator(".is-cancelled").first.wait_for()


def test_a_route_is_paused_and_resumed(planted: BridgeProcess, reader: Reader) -> None:
    """One button each, and the row says so."""
    reader.open("/routes")
    reader.page.get_by_role("button", name="Pause route never").click()
    reader.page.get_by_role("button", name="Resume route never").wait_for()
    assert [each["name"] for each in planted.api("status")["paused"]] == ["never"]
    reader.page.get_by_role("button", name="Resume route never").click()
    reader.page.get_by_role("button", name="Pause route never").wait_for()
    assert planted.api("status")["paused"] == []


def test_a_group_is_acted_on_and_the_order_stopped(planted: BridgeProcess, reader: Reader) -> None:
    """The count and the effect first; then the progress, which moves by itself; stopped, the rest stays as it is."""
    _flood(planted)
    reader.open("/attention")
    reader.page.get_by_role("link", name="Cancel 12\u2009000").click()
    reader.page.get_by_role("heading", name="Cancel 12\u2009000 triggers?").wait_for()
    assert "None of them will start its DAG run" in reader.text()
    reader.page.get_by_label("Why").fill("not needed")
    reader.page.get_by_role("button", name="Cancel 12\u2009000 triggers").click()
    reader.page.get_by_role("button", name="Stop this order").click()
    reader.page.locator("h1 .is-stopped").wait_for()
    with closing(planted.database()) as store:
        (left,) = store.execute(
            "SELECT COUNT(*) FROM triggers WHERE dag_id = 'load_flood' AND state = 'failed'"
        ).fetchone()
        assert 0 < left < _MANY
        store.execute("DELETE FROM triggers WHERE dag_id = 'load_flood'")


def _flood(bridge: BridgeProcess) -> None:
    """Store failures of one cause, as if they had come an hour ago."""
    at = "(SELECT MAX(received_at) - 3600000000 FROM deliveries)"
    with closing(bridge.database()) as store:
        (newest,) = store.execute("SELECT MAX(received_at) FROM deliveries").fetchone()
        words = {"id": f"{first_id(newest - 3_600_000_000)} + n", "at": at, "series": _NUMBERS}
        _all_or_nothing(store, [statement.format(**words) for statement in _FLOOD])


def _all_or_nothing(store: sqlite3.Connection, statements: list[str]) -> None:
    store.execute("BEGIN IMMEDIATE")
    for statement in statements:
        store.execute(statement)
    store.execute("COMMIT")


def test_the_whole_way_is_examined(reader: Reader) -> None:
    """From the first page, and the steps appear by themselves until all are there."""
    reader.open("/")
    reader.page.get_by_role("button", name="Examine the whole way").click()
    reader.page.get_by_role("button", name="Examine the whole way again").wait_for(timeout=PATIENCE_SECONDS * 1000)
    assert reader.page.get_by_role("row").filter(has_text="event").first.is_visible()
    assert "whole way" not in reader.page.get_by_role("heading", level=1).inner_text()
    for theme, width in (("light", WIDE), ("dark", NARROW)):
        reader.put_on(theme, width)
        reader.shoot(f"examination-found-{theme}-{width}")
        assert (reader.grave(), reader.overhang()) == ([], 0)


def test_a_body_is_tried(reader: Reader) -> None:
    """What is pasted is judged, nothing is sent; a body that is none is said."""
    reader.open("/try")
    reader.page.get_by_label("The webhook's body, as JSON").fill(json.dumps(json.loads(body(event="evt_try"))))
    reader.page.get_by_role("button", name="Try it").click()
    reader.page.get_by_text("1 DAG run would be started.").wait_for()
    assert '"rows": 44802' in reader.text()


def test_another_mapping_is_tried(planted: BridgeProcess, reader: Reader) -> None:
    """What it changes stands beside what it starts, and can be read on a phone."""
    reader.open("/try")
    text = (planted.folder / "mapping.yaml").read_text()
    reader.page.get_by_text("Against another mapping").click()
    reader.page.get_by_label("mapping.yaml").fill(text.replace("load_orders", "load_others"))
    reader.page.get_by_role("button", name="Try it").click()
    reader.page.get_by_role("heading", name="What this mapping changes").wait_for()
    for theme, width in (("light", WIDE), ("dark", NARROW)):
        reader.put_on(theme, width)
        reader.shoot(f"try-other-{theme}-{width}")
        assert (reader.grave(), reader.overhang()) == ([], 0)


def test_an_id_is_copied_by_a_click(planted: BridgeProcess, chromium: Chromium, signed_in: object) -> None:
    """Whole, though it is shown shortened."""
    reader = chromium.reader(storage_state=signed_in, permissions=["clipboard-read", "clipboard-write"])
    reader.open(address(planted, "/triggers/{fired!}"))
    button = reader.page.get_by_role("button", name="copy planasonix__").first
    button.click()
    reader.page.get_by_text("copied").first.wait_for()
    copied = reader.page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("planasonix__job_evt_")
    assert button.get_attribute("aria-label") == f"copy {copied}"
    reader.close()
    assert reader.faults == []


def test_all_works_without_scripts(planted: BridgeProcess, plain_reader: Reader) -> None:
    """Sign in, filter, replay and see what became of it."""
    plain_reader.sign_in()
    plain_reader.open("/deliveries")
    plain_reader.page.get_by_label("State").select_option("invalid")
    plain_reader.page.get_by_role("button", name="Show", exact=True).click()
    plain_reader.page.get_by_role("link", name="dlv_").first.click()
    plain_reader.page.get_by_role("button", name="Replay this delivery").click()
    plain_reader.page.get_by_role("heading", name="Replay").wait_for()
    assert "1 of 1 done" in plain_reader.text() or "0 of 1 done" in plain_reader.text()
    plain_reader.page.get_by_role("link", name="Back to where you were").click()
    plain_reader.page.get_by_role("heading", name="Its way").wait_for()
