"""People sign in by OpenID Connect at a real provider; what goes wrong is a page, a count and a line of the audit."""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.openid_provider import DOCUMENT, TOKEN, OpenIdProvider, bridge_with
from tests.support.service import BridgeProcess, wait_for
from tests.web.browsing import text_of

pytestmark = [pytest.mark.crash, pytest.mark.xdist_group("openid")]
BACK = "/sign-in/openid/back"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    """A provider that knows some people."""
    with OpenIdProvider(tmp_path_factory.mktemp("provider")) as provider:
        provider.knows("anna", email="anna@example.com", groups=["data-team", "on-call", "other"])
        provider.knows("otto", email="otto@example.com", groups=["owners"])
        provider.knows("nils", email="nils@example.com", groups=["other"])
        provider.knows("vera", email="anna@example.com", email_verified=False, groups="data-team")
        yield provider


@pytest.fixture(scope="module")
def bridge(provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge whose people sign in there."""
    item = bridge_with(provider, tmp_path_factory.mktemp("bridge"))
    item.start()
    yield item
    item.close()


@pytest.fixture(autouse=True)
def quiet(provider: OpenIdProvider) -> Iterator[None]:
    """No trouble is left to the next test."""
    yield
    provider.release()


class Browser:
    """A browser that follows nothing by itself."""

    def __init__(self, bridge: BridgeProcess) -> None:
        self.base = f"http://127.0.0.1:{bridge.admin_port}"
        self.client = httpx.Client(base_url=self.base, trust_env=False, timeout=60)

    def begin(self, onward: str = "/") -> str:
        """Begin, and return where the provider is asked."""
        answer = self.client.get("/sign-in/openid", params={"next": onward})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def sign_in(self, provider: OpenIdProvider, sub: str, onward: str = "/") -> httpx.Response:
        """Go the whole way."""
        return self.client.get(provider.sign_in(sub, self.begin(onward)))

    def signed_in(self, provider: OpenIdProvider, sub: str, onward: str = "/") -> str:
        """Go the whole way, and return the page at its end."""
        page = self.sign_in(provider, sub, onward)
        assert page.status_code == 200, text_of(page.text)
        return page.text


@pytest.fixture
def browser(bridge: BridgeProcess) -> Iterator[Browser]:
    """A browser without cookies."""
    item = Browser(bridge)
    yield item
    item.client.close()


def audit(bridge: BridgeProcess) -> list[tuple[str, str, str]]:
    """Return actor, action and reason of every line about sign-ins."""
    lines = bridge.api("audit", limit=500)["audit"]
    return [(line["actor"], line["action"], line["reason"] or "") for line in lines if "sign" in line["action"]]


def failures(bridge: BridgeProcess) -> dict[str, float]:
    """Return the counts by reason."""
    found = re.findall(r'bridge_sign_in_failures_total\{reason="(\w+)"\} (\S+)', bridge.metrics())
    return {reason: float(count) for reason, count in found}


def test_a_person_signs_in_with_the_role_of_their_groups(
    bridge: BridgeProcess, provider: OpenIdProvider, browser: Browser
) -> None:
    """The highest role of several groups; the page that was asked for; the name on the page and in the audit log."""
    page = browser.sign_in(provider, "anna", "/deliveries?state=stale")
    assert page.status_code == 200, text_of(page.text)
    assert '<meta http-equiv="refresh" content="0;url=/deliveries?state=stale">' in page.text
    session = next(each for each in page.headers.get_list("set-cookie") if each.startswith("bridge_session="))
    assert "HttpOnly; SameSite=Strict" in session
    assert "person:anna@example.com" in browser.client.get("/deliveries?state=stale").text
    assert browser.client.get("/refusals").status_code == 200
    assert browser.client.get("/audit").status_code == 403
    wait_for(
        lambda: ("person:anna@example.com", "signed_in", "") in audit(bridge),
        seconds=10,
        what=lambda: str(audit(bridge)),
    )


def test_what_a_person_does_is_theirs_in_the_audit_log(
    bridge: BridgeProcess, provider: OpenIdProvider, browser: Browser
) -> None:
    """With the form token of the session, and not without."""
    browser.signed_in(provider, "otto")
    token = re.search(r'name="csrf" value="([^"]+)"', browser.client.get("/routes").text)
    assert token is not None
    form = {"kind": "airflow", "name": "default", "reason": "by otto"}
    assert browser.client.post("/pause", data=form).status_code == 403
    assert browser.client.post("/pause", data=form | {"csrf": token[1]}).status_code == 303
    lines = [(line["actor"], line["action"]) for line in bridge.api("audit", limit=500)["audit"]]
    assert ("person:otto@example.com", "paused") in lines
    bridge.api("resume", post={"kind": "airflow", "name": "default"})


def test_a_doubtful_address_is_nobodys_name(provider: OpenIdProvider, browser: Browser) -> None:
    """The provider has not verified it, so the audit log gets the provider's own name for the person."""
    browser.signed_in(provider, "vera")
    assert "person:vera" in browser.client.get("/").text


def test_the_provider_is_asked_with_state_nonce_and_a_challenge(provider: OpenIdProvider, browser: Browser) -> None:
    """The verifier comes with the code only, and fits; the secret goes in the header."""
    asked = {name: values[0] for name, values in parse_qs(urlsplit(browser.begin()).query).items()}
    assert asked["redirect_uri"] == browser.base + BACK
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["scope"].split() == ["openid", "profile", "email"]
    url = browser.begin()
    again = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert not {asked[name] for name in ("state", "nonce", "code_challenge")} & set(again.values())
    browser.client.get(provider.sign_in("anna", url))
    sent = provider.asked(TOKEN)[-1]
    digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
    assert urlsafe_b64encode(digest).rstrip(b"=").decode() == again["code_challenge"]
    assert sent["authorization"].startswith("Basic ")
    assert sent["code_verifier"] not in url


WRONG_TOKENS: dict[str, tuple[dict[str, Any], str]] = {
    "issuer": ({"claims": {"iss": "https://elsewhere.example.com"}}, "invalid_claim (iss)"),
    "audience": ({"claims": {"aud": "another-client"}}, "invalid_claim (aud)"),
    "party": ({"claims": {"aud": ["planasonix-bridge", "another"], "azp": "another"}}, "invalid_claim (azp)"),
    "expired": ({"claims": {"exp": 1_700_000_000}}, "expired_token (exp)"),
    "no end": ({"claims": {"exp": None}}, "missing_claim (exp)"),
    "nonce": ({"claims": {"nonce": "of another sign-in"}}, "invalid_claim (nonce)"),
    "no nonce": ({"claims": {"nonce": None}}, "missing_claim (nonce)"),
    "signature": ({"forged": True}, "bad_signature"),
    "no name": ({"claims": {"sub": 7, "email": None}}, "invalid_claim (sub)"),
    "no token": ({"answers": {TOKEN: [200, "{}"]}}, "gave no ID token"),
    "odd token": ({"answers": {TOKEN: [200, '{"id_token": "a.b.c"}']}}, "ID token"),
    "unsigned": (
        {"answers": {TOKEN: [200, '{"id_token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0."}']}},
        "unsupported_algorithm",
    ),
    "refused": ({"answers": {TOKEN: [400, '{"error": "invalid_grant"}']}}, "answers 400: invalid_grant"),
}


@pytest.mark.parametrize("what", WRONG_TOKENS)
def test_a_token_that_is_not_for_this_sign_in_lets_nobody_in(
    bridge: BridgeProcess, provider: OpenIdProvider, browser: Browser, what: str
) -> None:
    """A page that says what is wrong, and a count; no session."""
    problem, said = WRONG_TOKENS[what]
    before = failures(bridge)["openid"]
    provider.trouble(**problem)
    page = browser.sign_in(provider, "anna")
    assert (page.status_code, "bridge_session" in str(page.headers)) == (403, False)
    assert said in text_of(page.text)
    assert failures(bridge)["openid"] == before + 1
    assert browser.client.get("/").status_code == 401


UNAVAILABLE: dict[str, tuple[dict[str, Any], str]] = {
    "error": ({"answers": {TOKEN: [500, "<html>"]}}, "answers 500"),
    "redirect": ({"answers": {TOKEN: [302, ""]}}, "answers 302"),
    "no JSON": ({"answers": {TOKEN: [200, "<html>"]}}, "no JSON"),
    "too large": ({"answers": {TOKEN: [200, " " * 300_000]}}, "more than 262144 bytes"),
}


@pytest.mark.parametrize("what", UNAVAILABLE)
def test_a_provider_in_trouble_is_said(
    bridge: BridgeProcess, provider: OpenIdProvider, browser: Browser, what: str
) -> None:
    """503 with the reason, and never 500."""
    problem, said = UNAVAILABLE[what]
    before = failures(bridge)["provider"]
    back = provider.sign_in("anna", browser.begin())
    provider.trouble(**problem)
    page = browser.client.get(back)
    assert page.status_code == 503
    assert said in text_of(page.text)
    assert failures(bridge)["provider"] == before + 1


def test_the_answer_to_no_sign_in_is_not_taken(
    bridge: BridgeProcess, provider: OpenIdProvider, browser: Browser
) -> None:
    """Without state, with another's, in another browser, after it was used: nobody is signed in, and nobody asked."""
    url = browser.begin()
    back = provider.sign_in("anna", url)
    other = Browser(bridge)
    asked = len(provider.asked(TOKEN))
    for client, path in (
        (browser, BACK),
        (browser, f"{BACK}?code=x"),
        (browser, f"{BACK}?code=x&state=%ff"),
        (other, back),
    ):
        browser.begin()  # so that there is a cookie, of another state
        page = client.client.get(path)
        assert (page.status_code, "bridge_session" in str(page.headers)) == (400, False)
        assert "not begun in this browser" in text_of(page.text)
    other.client.close()
    assert len(provider.asked(TOKEN)) == asked


def test_an_answer_is_taken_once(provider: OpenIdProvider, browser: Browser) -> None:
    """The cookie ends with it; and whoever kept a copy of that finds that the code was used."""
    back = provider.sign_in("anna", browser.begin())
    kept = dict(browser.client.cookies)
    assert browser.client.get(back).status_code == 200
    assert browser.client.get(back).status_code == 400
    page = httpx.get(back, cookies=kept, trust_env=False, timeout=60)
    assert page.status_code == 403
    assert "invalid_grant" in text_of(page.text)


@pytest.mark.parametrize("query", ["error=access_denied", "error=%3Cscript%3E", "code=", "code=" + "x" * 9000, ""])
def test_a_provider_that_lets_nobody_in_is_said(browser: Browser, query: str) -> None:
    """Of what it says nothing is shown: anybody can write that into an address."""
    (state,) = parse_qs(urlsplit(browser.begin()).query)["state"]
    page = browser.client.get(f"{BACK}?{query}&state={state}")
    assert page.status_code == 403
    assert "You were not signed in there" in text_of(page.text)
    assert "script>" not in text_of(page.text)


@pytest.mark.parametrize(
    "onward", ["https://evil.example.com/", "//evil.example.com", "/\\evil.example.com", "\t//e", "e"]
)
def test_nobody_is_led_elsewhere(provider: OpenIdProvider, browser: Browser, onward: str) -> None:
    """Neither after the sign-in nor by the page to sign in on."""
    page = browser.signed_in(provider, "anna", onward)
    assert 'content="0;url=/"' in page
    assert "evil" not in page
    assert "evil" not in browser.client.get("/sign-in", params={"next": onward}).text


def test_a_path_that_no_cookie_can_hold_leads_to_the_first_page(provider: OpenIdProvider, browser: Browser) -> None:
    """Instead of a sign-in that never ends well."""
    assert 'content="0;url=/"' in browser.signed_in(provider, "anna", "/deliveries?event=" + "x" * 3000)


def test_the_page_to_sign_in_on_leads_there(bridge: BridgeProcess) -> None:
    """At the public address, under whatever name the page was opened, and back to what was asked for."""
    page = httpx.get(f"http://localhost:{bridge.admin_port}/routes?x=1", trust_env=False, timeout=60)
    assert page.status_code == 401
    assert f'href="http://127.0.0.1:{bridge.admin_port}/sign-in/openid?next=/routes%3Fx%3D1"' in page.text


def test_every_failure_is_a_line_of_the_audit_log(
    bridge: BridgeProcess, provider: OpenIdProvider, browser: Browser
) -> None:
    """Once, with what was wrong; whoever is known but has no group here is named."""
    before = failures(bridge)
    page = browser.sign_in(provider, "nils")
    assert page.status_code == 403
    assert "none of your groups has a role here" in text_of(page.text)
    browser.client.get(BACK)
    provider.trouble(claims={"aud": "another-client"})
    browser.sign_in(provider, "anna")
    back = provider.sign_in("anna", browser.begin())
    provider.trouble(answers={TOKEN: [500, ""]})
    browser.client.get(back)
    wanted = {
        ("person:nils@example.com", "OpenID Connect: no group with a role"),
        ("unknown", "OpenID Connect: no sign-in had begun there"),
        ("unknown", "OpenID Connect: the provider's ID token is not accepted: invalid_claim (aud)"),
        ("unknown", "OpenID Connect: the provider answers 500"),
    }

    counted = {reason: count - before[reason] for reason, count in failures(bridge).items() if count != before[reason]}
    assert counted == {"no_group": 1, "openid": 2, "provider": 1}
    bridge.stop()  # which writes what would be written within a minute
    with closing(bridge.database()) as database:
        found = database.execute("SELECT actor, reason FROM audit WHERE action = 'sign_in_failed'").fetchall()
    bridge.start()
    assert wanted <= {(actor, reason.partition(", ")[0]) for actor, reason in found}


def test_a_provider_that_hangs_holds_up_nothing(
    bridge: BridgeProcess, provider: OpenIdProvider, browser: Browser
) -> None:
    """While somebody waits, probes, metrics and pages answer; then the reason is said, and no restart is needed."""
    bridge.stop()
    bridge.start()  # so that nothing of the provider is kept
    asked = len(provider.asked(DOCUMENT))
    provider.trouble(hang=[DOCUMENT])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(browser.client.get, "/sign-in/openid")
        wait_for(lambda: len(provider.asked(DOCUMENT)) > asked, seconds=10, what="the provider is asked")
        assert bridge.is_ready()
        assert bridge.metrics()
        assert httpx.get(f"{browser.base}/sign-in", trust_env=False, timeout=60).status_code == 200
        page = waiting.result()
    assert page.status_code == 503
    assert "no whole answer within 10 s" in text_of(page.text)
    assert failures(bridge)["provider"] == 1
    provider.release()
    wait_for(lambda: browser.client.get("/sign-in/openid").status_code == 303, seconds=10, what="it is asked again")


def test_another_secret_ends_the_sessions_and_is_used_at_once(
    bridge: BridgeProcess, provider: OpenIdProvider, browser: Browser
) -> None:
    """No restart: the file is read again, and sessions that were signed with the old one end."""
    browser.signed_in(provider, "anna")
    assert browser.client.get("/").status_code == 200
    (bridge.folder / "client-secret").write_text("another-secret-of-the-client-0123456789")
    wait_for(lambda: browser.client.get("/").status_code == 401, seconds=10, what="the new secret")
    browser.signed_in(provider, "anna")
    assert browser.client.get("/").status_code == 200
