"""A person at the pages, by plain HTTP: signs in, looks at pages, sends their forms."""

import re
from html import unescape

import httpx

from bridge.words.roles import Role
from tests.web.conftest import TOKENS

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_FORM_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


class Person:
    """Whoever signed in with the token of a role; None: nobody has."""

    def __init__(self, admin_port: int, role: Role | None) -> None:
        """Sign in."""
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{admin_port}", trust_env=False, timeout=60)
        if role is not None:
            answer = self.client.post("/sign-in", data={"token": TOKENS[role]})
            assert answer.status_code == 303, answer.text

    def look(self, path: str, **query: str) -> str:
        """Return a page."""
        answer = self.client.get(path, params=query or None)
        assert answer.status_code == 200, (path, answer.text)
        return answer.text

    def text(self, path: str, **query: str) -> str:
        """Return what a page says, without its markup."""
        return text_of(self.look(path, **query))

    def form_token(self, path: str = "/") -> str:
        """Return what the forms of a page carry."""
        found = _FORM_TOKEN.search(self.look(path))
        assert found is not None
        return found[1]

    def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form with its form token; the answer leads on and is not followed."""
        return self.client.post(path, data={"csrf": self.form_token()} | fields)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def fields_of(page: str) -> dict[str, str]:
    """Return what the hidden fields of a page say, but for the form token."""
    found = {name: unescape(value) for name, value in _HIDDEN.findall(page)}
    return {name: value for name, value in found.items() if name != "csrf"}


def text_of(page: str) -> str:
    """Return what a page says, without its markup and with single blanks."""
    main = page.partition("<main")[2].partition("</main>")[0]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", "<main" + main)).split())
