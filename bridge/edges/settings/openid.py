"""`sign_in:` of bridge.yaml: the OpenID provider that people sign in at, and what their groups may do."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bridge.edges.settings.fields import Absent, Entry, JwksUrlText, ReadableFile, SecretField
from bridge.rules.signature import check_secret
from bridge.words.roles import Role
from bridge.words.targets import OpenIdProvider, Secret

_Word = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")]
_Group = Annotated[str, Field(min_length=1, max_length=255)]


def _issuer(url: str) -> str:
    if "?" in url:
        raise ValueError("must be scheme, host, port and path only, as the provider's own document spells it")
    return url


def _strong(secret: Secret) -> Secret:
    """Refuse what could be guessed: the sessions of people are signed with a key that is made of it."""
    if not isinstance(secret, Absent) and (problem := check_secret(secret.reveal())):
        raise ValueError(problem)
    return secret


def _with_openid(scopes: list[str]) -> list[str]:
    if "openid" not in scopes:
        raise ValueError("must have `openid` among them: without it there is no ID token")
    return scopes


class OpenIdForm(Entry):
    """One provider; `OpenIdProvider` has the same fields."""

    issuer: Annotated[JwksUrlText, AfterValidator(_issuer)]
    client_id: _Word
    secret: Annotated[SecretField, AfterValidator(_strong)]
    roles: dict[_Group, Literal["viewer", "operator", "admin"]] = Field(min_length=1)
    scopes: Annotated[list[_Word], AfterValidator(_with_openid)] = Field(["openid", "profile", "email"])
    groups_claim: _Word = "groups"
    name_claim: _Word = "email"
    ca_file: ReadableFile | None = None


class SignInForm(Entry):
    """How people sign in on the pages, beside the tokens of roles."""

    openid: OpenIdForm

    def build(self) -> OpenIdProvider:
        """Return the provider."""
        form = self.openid
        return OpenIdProvider(
            issuer=form.issuer,
            client_id=form.client_id,
            secret=form.secret,
            roles={group: Role(role) for group, role in form.roles.items()},
            scopes=tuple(form.scopes),
            groups_claim=form.groups_claim,
            name_claim=form.name_claim,
            ca_file=form.ca_file,
        )
