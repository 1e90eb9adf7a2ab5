"""A person signs in at a provider of another site, with the cookies that a browser sends then, and no others."""

import pytest

from tests.support.chromium import Chromium
from tests.support.openid_provider import OpenIdProvider, bridge_with

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.slow]


def test_a_person_signs_in_at_a_provider_and_out(chromium: Chromium, tmp_path_factory: pytest.TempPathFactory) -> None:
    """With scripts and without, the page that was asked for opens with the person's name; after signing out none."""
    with OpenIdProvider(tmp_path_factory.mktemp("provider")) as provider:
        provider.knows("anna", email="anna@example.com", groups=["on-call"])
        bridge = bridge_with(provider, tmp_path_factory.mktemp("bridge"))
        bridge.start()
        try:
            for scripts in (True, False):
                reader = chromium.reader(scripts=scripts)
                page = reader.page
                page.goto(f"http://127.0.0.1:{bridge.admin_port}/routes")
                assert reader.grave() == [] if scripts else True
                page.get_by_role("link", name="Sign in with your account").click()
                page.get_by_placeholder("sub").fill("anna")
                page.get_by_role("button", name="Authorize").click()
                page.get_by_role("heading", name="route").first.wait_for()
                page.get_by_text("person:anna@example.com").wait_for()
                assert page.url == f"http://127.0.0.1:{bridge.admin_port}/routes"
                page.get_by_role("button", name="Sign out").click()
                page.get_by_role("link", name="Sign in with your account").wait_for()
                page.goto(f"http://127.0.0.1:{bridge.admin_port}/routes")
                assert page.get_by_role("link", name="Sign in with your account").is_visible()
                reader.close()
                assert [fault for fault in reader.faults if fault.startswith(("script", "console: Refused"))] == []
        finally:
            bridge.close()
