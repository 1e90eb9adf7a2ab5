"""The pages by plain HTTP: who gets in, which forms are taken, and the headers that keep strangers' scripts out."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bridge.words.roles import SIGN_INS, Role
from tests.support.service import TOKEN, BridgeProcess, wait_for
from tests.web.browsing import Person
from tests.web.conftest import MAPPING, TOKENS

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
BIGGEST_BYTES = 60_000


@pytest.fixture(scope="module")
def people(bridge: BridgeProcess) -> Iterator[dict[Role | None, Person]]:
    """Somebody of every role, and somebody who has not signed in."""
    made = {role: Person(bridge.admin_port, role) for role in (None, *SIGN_INS)}
    yield made
    for item in made.values():
        item.close()


def test_every_answer_keeps_scripts_frames_and_caches_out(people: dict[Role | None, Person]) -> None:
    """Pages, the form to sign in, errors and files alike; no page has a script, a style or a handler in it."""
    for path, status in (("/", 200), ("/sign-in", 200), ("/sign-in/x", 404)):
        answer = people[Role.ADMIN].client.get(path)
        assert answer.status_code == status
        if status == 404:
            continue
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?! src=)|<style|\son[a-z]+=|\sstyle=|javascript:|https?://", answer.text)
        assert len(answer.content) < BIGGEST_BYTES


def test_only_sites_that_are_named_may_frame_a_page(tmp_path: Path) -> None:
    """An Airflow that shows it as a tab; everything else of the policy stays."""
    settings = {"BRIDGE_FRAMED_BY": "https://airflow.example.com"}
    bridge = BridgeProcess(tmp_path, airflow_url="http://127.0.0.1:9", mapping=MAPPING, settings=settings)
    try:
        bridge.start()
        answer = httpx.get(f"http://127.0.0.1:{bridge.admin_port}/sign-in", trust_env=False, timeout=60)
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy == POLICY | {"frame-ancestors": "https://airflow.example.com"}
    finally:
        bridge.close()


def test_files_are_kept_for_good_under_their_digest_alone(people: dict[Role | None, Person]) -> None:
    """Under another digest, which another release has, they are not; nobody has to sign in for them."""
    nobody = people[None].client
    files = re.findall(r'(?:href|src)="(/static/[^"]+)"', nobody.get("/sign-in").text)
    assert {file.rpartition("/")[2] for file in files} == {"style.css", "pages.js", "htmx.min.js"}
    for file in files:
        assert nobody.get(file).headers["cache-control"] == "public, max-age=31536000, immutable"
        assert nobody.get(f"/static/0/{file.rpartition('/')[2]}").headers["cache-control"] == "no-store"
    for name in ("x", "..%2fpages.js", "base.html", "htmx.LICENSE"):
        assert nobody.get(f"/static/0/{name}").status_code == 404


def test_without_a_session_a_page_is_the_form_to_sign_in(people: dict[Role | None, Person]) -> None:
    """It leads back to where somebody wanted to go, filters and all."""
    answer = people[None].client.get("/deliveries?state=failed&since=2h")
    assert answer.status_code == 401
    assert 'name="next" value="/deliveries?state=failed&amp;since=2h"' in answer.text


def test_a_token_begins_a_session_that_no_script_can_read(bridge: BridgeProcess) -> None:
    """The cookie has no token in it, ends, and is not sent for other sites."""
    url = f"http://127.0.0.1:{bridge.admin_port}/sign-in"
    answer = httpx.post(url, data={"token": TOKEN, "next": "/deliveries?state=failed"}, trust_env=False, timeout=60)
    assert (answer.status_code, answer.headers["location"]) == (303, "/deliveries?state=failed")
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert TOKEN not in cookie
    assert attributes == ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"]


@pytest.mark.parametrize("place", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil", "x", ""])
def test_a_sign_in_leads_to_no_other_site(bridge: BridgeProcess, place: str) -> None:
    """Whatever a link to the form says."""
    url = f"http://127.0.0.1:{bridge.admin_port}/sign-in"
    assert httpx.post(url, data={"token": TOKEN, "next": place}, trust_env=False, timeout=60).headers["location"] == "/"


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKENS[Role.METRICS], TOKENS[Role.OUTCOMES]])
def test_what_is_no_token_of_a_person_begins_nothing(bridge: BridgeProcess, token: str) -> None:
    """Nor does the token of one path; it is counted as a wrong one."""
    url, before = f"http://127.0.0.1:{bridge.admin_port}/sign-in", failures(bridge, "token_wrong")
    answer = httpx.post(url, data={"token": token}, trust_env=False, timeout=60)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "This is no token" in answer.text
    assert failures(bridge, "token_wrong") == before + 1


def test_sign_ins_and_those_that_failed_are_in_the_audit_log(bridge: BridgeProcess) -> None:
    """As those with a bearer token are."""
    Person(bridge.admin_port, Role.OPERATOR).close()
    httpx.post(f"http://127.0.0.1:{bridge.admin_port}/sign-in", data={"token": "wrong"}, trust_env=False, timeout=60)

    def found() -> set[tuple[str, str]]:
        return {(line["actor"], line["action"]) for line in bridge.api("audit", limit=500)["audit"]}

    wanted = {("token:operator", "signed_in"), ("unknown", "sign_in_failed")}
    wait_for(lambda: wanted <= found(), seconds=10, what="the lines")


def test_a_form_from_elsewhere_is_refused(people: dict[Role | None, Person], bridge: BridgeProcess) -> None:
    """No form token, another session's, or a browser that says that another site asks; each is counted."""
    mine, before = people[Role.OPERATOR], failures(bridge, "form_token")
    right = mine.form_token()
    other = people[Role.ADMIN].form_token()
    wrong: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": other}, {}),
        ({"csrf": right}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": right}, {"Sec-Fetch-Site": "same-site"}),
        ({"csrf": right}, {"Origin": "https://evil.example"}),
    ]
    for fields, headers in wrong:
        answer = mine.client.post("/sign-out", data={"x": "y"} | fields, headers=headers)
        assert answer.status_code == 403, (fields, headers)
        assert "nothing was done" in answer.text
    assert failures(bridge, "form_token") == before + len(wrong)
    assert mine.client.post("/sign-out", json={"csrf": right}).status_code == 400
    assert mine.client.get("/").status_code == 200


def test_nobody_is_signed_in_by_another_site(bridge: BridgeProcess) -> None:
    """Somebody's own token could otherwise be slipped to a victim. It counts as a form from elsewhere, and once."""
    before = {reason: failures(bridge, reason) for reason in ("form_token", "role")}
    url = f"http://127.0.0.1:{bridge.admin_port}/sign-in"
    answer = httpx.post(
        url, data={"token": TOKEN}, headers={"Sec-Fetch-Site": "cross-site"}, trust_env=False, timeout=60
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert failures(bridge, "form_token") == before["form_token"] + 1
    assert failures(bridge, "role") == before["role"]


def test_a_session_may_use_the_api_and_change_nothing_without_its_form_token(
    people: dict[Role | None, Person], bridge: BridgeProcess
) -> None:
    """A cookie goes along with whatever another site makes a browser ask."""
    mine = people[Role.OPERATOR]
    assert mine.client.get("/api/v1/status").status_code == 200
    order = {"ids": [], "dry_run": True}
    assert mine.client.post("/api/v1/replay", json=order).status_code == 403
    token = {"X-CSRF-Token": mine.form_token()}
    assert mine.client.post("/api/v1/replay", json=order, headers=token).status_code == 200
    bearer = {"Authorization": f"Bearer {TOKENS[Role.OPERATOR]}"}
    assert mine.client.post("/api/v1/replay", json=order, headers=bearer).status_code == 200


def test_a_cookie_that_somebody_made_up_is_nobody(bridge: BridgeProcess) -> None:
    """Counted, and answered with the form to sign in."""
    before = failures(bridge, "session")
    for cookie in ("bridge_session=1.admin.9999999999.x.y", "bridge_session=", "a=b; bridge_session=%00; c"):
        url = f"http://127.0.0.1:{bridge.admin_port}/"
        assert httpx.get(url, headers={"Cookie": cookie}, trust_env=False, timeout=60).status_code == 401
    assert failures(bridge, "session") == before + 3


def test_signing_out_ends_the_session_in_this_browser(bridge: BridgeProcess) -> None:
    """It leads to the form."""
    person = Person(bridge.admin_port, Role.VIEWER)
    answer = person.send("/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert person.client.get("/").status_code == 401
    person.close()


def test_a_bearer_token_sees_the_pages_too(bridge: BridgeProcess) -> None:
    """A script may look at what a person sees; its forms need no form token, since no browser adds a bearer token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.get(f"http://127.0.0.1:{bridge.admin_port}/", headers=headers, trust_env=False, timeout=60)
    assert answer.status_code == 200
    assert 'name="csrf"' not in answer.text


def failures(bridge: BridgeProcess, reason: str) -> int:
    """Return how often somebody was not let in for a reason."""
    found = re.search(rf'bridge_sign_in_failures_total\{{reason="{reason}"\}} (\d+)', bridge.metrics())
    assert found is not None
    return int(found[1])
