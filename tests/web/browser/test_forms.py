"""The forms that people fill in: a pause, a group of failures, filters of what is recorded, a mapping to try."""

import re

import pytest

from tests.support.chromium import Chromium, Reader
from tests.support.service import BridgeProcess, wait_for
from tests.web.browser.support import address

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]
_FAILED = 3  # of the route by_day


def _press(reader: Reader, name: str) -> None:
    reader.page.locator("main").get_by_role("button", name=name, exact=True).click()


def _fill(reader: Reader, **fields: str) -> None:
    """Fill in by label; a label's blanks are written as `_`."""
    for label, text in fields.items():
        reader.page.get_by_label(label.replace("_", " "), exact=True).fill(text)


def _act(reader: Reader, route: str, verb: str, asks: str) -> None:
    """Press a verb of a route's group of failures, say why where the page `asks`, and wait for the order's end."""
    reader.open("/attention")
    group = reader.page.locator("section").filter(has_text=f"Route {route},").filter(has_text="failed")
    link = group.get_by_role("link", name=re.compile(rf"^{verb} \d+$"))
    amount = link.inner_text().removeprefix(f"{verb} ")
    link.click()
    title = f"{asks} {amount} trigger{'' if amount == '1' else 's'}"
    reader.page.get_by_role("heading", name=f"{title}?").wait_for()
    reader.page.get_by_label("Why (for the audit log)").fill(f"{verb} by hand")
    _press(reader, title)
    reader.page.locator("h1 .is-done").wait_for()
    assert f"{amount} of {amount} done" in reader.text()
    assert f"{verb} by hand" in reader.text()
    reader.page.get_by_role("link", name="Back to where you were").click()
    reader.page.wait_for_url("**/attention")


def _failed(bridge: BridgeProcess) -> list[str]:
    """Return the triggers whose template failed, once all of them have failed again after whatever was done before."""
    wait_for(lambda: len(bridge.triggers(route="by_day", state="failed")) == _FAILED, seconds=30, what="the failures")
    return [each["id"] for each in bridge.triggers(route="by_day", state="failed")]


def test_a_source_is_paused_by_the_form(planted: BridgeProcess, reader: Reader) -> None:
    """What, which, for how long and why are said on the page; one button resumes it."""
    reader.open("/routes")
    reader.page.get_by_label("What", exact=True).select_option("source")
    _fill(reader, Name="planasonix", For_how_long="2h", Why="they move house")
    _press(reader, "Pause it")
    note = reader.page.locator(".note").filter(has_text="The source planasonix is paused")
    note.wait_for()
    assert ": they move house, until" in " ".join(note.inner_text().split())
    (paused,) = planted.api("status")["paused"]
    assert (paused["kind"], paused["name"], paused["reason"]) == ("source", "planasonix", "they move house")
    assert paused["ends_at"]
    reader.page.get_by_role("button", name="Resume source planasonix").click()
    note.wait_for(state="detached")
    assert planted.api("status")["paused"] == []


def test_a_group_of_failures_is_replayed(planted: BridgeProcess, reader: Reader) -> None:
    """As many as the button says, and the reason stands in the audit log."""
    assert _failed(planted)
    _act(reader, "by_day", "Replay", "Replay")
    reader.open("/audit")
    assert "Replay by hand" in reader.text()


def test_a_group_of_failures_is_run_again(planted: BridgeProcess, reader: Reader) -> None:
    """None of these ever had a call, so each is routed again and makes one trigger in the place of the one before."""
    before = _failed(planted)
    _act(reader, "by_day", "Run again", "Start new DAG runs for")
    assert set(before).isdisjoint(_failed(planted))
    assert len(planted.triggers(route="by_day")) == len(before)


def test_a_held_trigger_is_replayed_by_its_button(planted: BridgeProcess, reader: Reader) -> None:
    """It leads to the order, and back to the trigger."""
    place = f"/triggers/{planted.triggers(route='parked')[0]['id']}"
    reader.open(place)
    _press(reader, "Replay this trigger")
    reader.page.locator("h1 .is-done").wait_for()
    assert "1 of 1 done" in reader.text()
    reader.page.get_by_role("link", name="Back to where you were").click()
    reader.page.wait_for_url("**" + place)


def test_a_trigger_whose_template_failed_is_replayed_by_its_button(planted: BridgeProcess, reader: Reader) -> None:
    """Another trigger takes its place, so the way back leads to its delivery."""
    id_ = _failed(planted)[0]
    delivery = planted.api(f"triggers/{id_}")["delivery_id"]
    reader.open(f"/triggers/{id_}")
    _press(reader, "Replay this trigger")
    reader.page.locator("h1 .is-done").wait_for()
    reader.page.get_by_role("link", name="Back to where you were").click()
    reader.page.wait_for_url(f"**/deliveries/{delivery}")
    reader.page.get_by_role("heading", name="Its way").wait_for()


def test_refusals_are_filtered(planted: BridgeProcess, reader: Reader) -> None:
    """By each field of the form; what stands in the address stays in the form, and one link shows all again."""
    reader.open("/refusals")
    rows = reader.page.locator("tbody tr")
    assert rows.count() >= 2
    reader.page.get_by_label("Kind", exact=True).select_option("refused")
    reader.page.get_by_label("Source", exact=True).select_option("planasonix")
    _fill(reader, Reason="signature_mismatch")
    _press(reader, "Show")
    reader.page.wait_for_url("**/refusals?kind=refused&source=planasonix&reason=signature_mismatch&*")
    assert [row.split("\t")[1] for row in rows.all_inner_texts()] == ["refused"]
    assert reader.page.get_by_label("Reason", exact=True).input_value() == "signature_mismatch"
    reader.page.get_by_role("link", name="Show all", exact=True).click()
    reader.page.wait_for_url("**/refusals")
    copied = address(planted, "{evt_1}")
    _fill(reader, Copies_of=copied)
    _press(reader, "Show")
    reader.page.wait_for_url(f"**/refusals?*copy_of={copied}*")
    assert [row.split("\t")[1] for row in rows.all_inner_texts()] == ["copy"]


def test_the_audit_log_is_filtered(reader: Reader) -> None:
    """By who and by what it was done to; where nothing matches the page says so, with a way back."""
    reader.open("/audit")
    _fill(reader, Who="token:admin", Of_what="route nobody")
    _press(reader, "Show")
    reader.page.wait_for_url("**/audit?actor=token%3Aadmin&subject=route+nobody&*")
    assert "Nothing matches." in reader.text()
    reader.page.locator(".note").get_by_role("link", name="Show all").click()
    reader.page.wait_for_url("**/audit")
    _fill(reader, Who="token:admin")
    _press(reader, "Show")
    reader.page.wait_for_url("**/audit?actor=token%3Aadmin*")
    actors = reader.page.locator('tbody td[data-label="Who"]').all_inner_texts()
    assert actors
    assert set(actors) == {"token:admin"}


def test_a_delivery_is_tried_against_another_mapping(planted: BridgeProcess, chromium: Chromium) -> None:
    """By the link on its page and a mapping that is pasted; without scripts, too."""
    for scripts in (True, False):
        reader = chromium.reader(scripts=scripts)
        reader.sign_in()
        reader.open(address(planted, "/deliveries/{evt_3}"))
        reader.page.get_by_role("link", name="Try it against another mapping").click()
        text = (planted.folder / "mapping.yaml").read_text()
        reader.page.get_by_label("mapping.yaml").fill(text.replace("load_orders", "load_others"))
        _press(reader, "Try it")
        reader.page.get_by_role("heading", name="What this mapping changes").wait_for()
        assert "orders starts load_others" in reader.text()
        assert "evt_3" in reader.text()
        reader.page.get_by_role("link", name="Try another body").click()
        reader.page.get_by_label("Begin with a sample").select_option("job.failed")
        _press(reader, "Fill it in")
        reader.page.wait_for_url("**/try?sample=job.failed")
        assert "SOURCE_ERROR" in reader.page.get_by_label("The webhook's body, as JSON").input_value()
        reader.close()
        assert reader.faults == []
