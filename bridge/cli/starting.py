"""The first files of an installation, made of a person's answers: no I/O but reading the templates beside this module.

    everywhere   config/bridge.yaml, config/mapping.yaml, config/tests/mapping.yaml (the first test of the route)
    kubernetes   values.yaml, for the chart
    compose      compose.yaml, and secrets/ with those that a machine can make up
    systemd      planasonix-bridge.service

A secret is named in the files and never asked for. What is written here passes `check`, whatever was answered. The
files of deploy/compose and deploy/systemd are those that the defaults make; a test holds them in step.
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bridge import __version__
from bridge.cli.network_policy import network_policy

SECRET = "planasonix-bridge"  # noqa: S105 - the name of the Kubernetes Secret
_PUBLIC_KEY = {"ed25519", "ecdsa-p256", "rsa-pss", "jwt"}
SIGNATURES = (  # every preset but `custom`, which takes more than a word
    "planasonix",
    "planasonix-body",
    "standard-webhooks",
    "stripe",
    "github",
    "ed25519",
    "ecdsa-p256",
    "rsa-pss",
    "jwt",
    "bearer",
)
_PLAIN = re.compile(r"(?!(?:null|true|false|yes|no|on|off|[nN~]|\.?inf|\.?nan)$)[A-Za-z_/][\w./:@+-]*(?<!:)", re.ASCII)
_PLACES_OF_SECRETS = {
    "kubernetes": f"/etc/bridge/secrets/{SECRET}",
    "compose": "/run/secrets",
    "systemd": "/run/credentials/planasonix-bridge.service",
}


class Place(StrEnum):
    """Where the bridge will run."""

    KUBERNETES = "kubernetes"
    COMPOSE = "compose"
    SYSTEMD = "systemd"
    HERE = "here"


class SignIn(StrEnum):
    """How it signs in at Airflow."""

    PASSWORD = "password"  # noqa: S105 - a way, not a password
    TOKEN = "token"  # noqa: S105
    CLIENT = "client"
    NONE = "none"


# The key of `auth`, and the name of its secret.
_SIGN_INS: dict[SignIn, dict[str, str]] = {
    SignIn.PASSWORD: {"username": "airflow-username", "password": "airflow-password"},
    SignIn.TOKEN: {"token": "airflow-token"},
    SignIn.CLIENT: {"client_id": "airflow-client-id", "client_secret": "airflow-client-secret"},
    SignIn.NONE: {},
}
AIRFLOWS = {
    Place.KUBERNETES: "http://airflow-api-server.airflow.svc.cluster.local:8080",
    Place.COMPOSE: "http://airflow.example.com:8080",
    Place.SYSTEMD: "http://airflow.example.com:8080",
    Place.HERE: "http://localhost:8080",
}
IMAGES = {
    Place.KUBERNETES: "registry.example.com/planasonix-bridge",
    Place.COMPOSE: f"localhost/planasonix-bridge:{__version__}",
}


@dataclass(frozen=True, slots=True)
class Answers:
    """What a person said. `store` is `sqlite`, or the URL of a PostgreSQL without its password."""

    place: Place
    airflow_url: str
    sign_in: SignIn = SignIn.PASSWORD
    signature: str = "planasonix"
    pipeline: str = "pl_8f2a9c1d4e"
    dag: str = "refresh_sales_marts"
    store: str = "sqlite"
    image: str = ""

    @property
    def key(self) -> str:
        """The name of what verifies webhooks."""
        return "webhook-public-key" if self.signature in _PUBLIC_KEY else "webhook-secret"

    @property
    def on_postgresql(self) -> bool:
        """Whether the store's password is a secret too."""
        return self.place is Place.COMPOSE or self.store != "sqlite"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of all secrets."""
        more = ("database-password",) if self.on_postgresql else ()
        return (self.key, *_SIGN_INS[self.sign_in].values(), "admin-token", *more)

    @property
    def reference(self) -> Callable[[str], str]:
        """What names a secret in bridge.yaml."""
        folder = _PLACES_OF_SECRETS.get(self.place)
        return lambda name: f"{{env: {variable(name)}}}" if folder is None else f"{{file: {folder}/{name}}}"


def variable(secret: str) -> str:
    """Return the environment variable of a secret, where secrets are variables."""
    name = secret.upper().replace("-", "_")
    known = {"WEBHOOK_SECRET": "PLANASONIX_WEBHOOK_SECRET", "WEBHOOK_PUBLIC_KEY": "PLANASONIX_WEBHOOK_PUBLIC_KEY"}
    ours = {"ADMIN_TOKEN": "BRIDGE_ADMIN_TOKEN", "DATABASE_PASSWORD": "PGPASSWORD"}
    return (known | ours).get(name, name)


def files(answers: Answers) -> dict[str, str]:
    """Return the text of each file by its path, below the folder that was chosen."""
    files = {
        "config/bridge.yaml": bridge_yaml(answers),
        "config/mapping.yaml": mapping_yaml(answers),
        "config/tests/mapping.yaml": tests_yaml(answers),
    }
    match answers.place:
        case Place.KUBERNETES:
            files["values.yaml"] = values_yaml(answers)
        case Place.COMPOSE:
            files["compose.yaml"] = compose_yaml(answers)
            files["secrets/.gitignore"] = "*\n"
            files |= {f"secrets/{name}": secrets.token_hex(24) for name in ("admin-token", "database-password")}
        case Place.SYSTEMD:
            files["planasonix-bridge.service"] = unit(answers)
        case Place.HERE:
            pass
    return files


def spelled(text: str) -> str:
    """Return a text as YAML reads it back: plain where that is safe, else in quotes."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def bridge_yaml(answers: Answers) -> str:
    """Return where webhooks come from, and the Airflow."""
    at = answers.reference
    algorithm = ", algorithm: RS256" if answers.signature == "jwt" else ""
    kind = "public_keys" if answers.signature in _PUBLIC_KEY else "secrets"
    place = at(answers.key)[1:-1]
    auth = ", ".join(f"{field}: {at(name)}" for field, name in _SIGN_INS[answers.sign_in].items())
    return f"""\
# Where webhooks come from, and which Airflows may be called. Read at start. docs/configuration.md explains every key.
# A secret is never written here: `env:` or `file:` says where it is. `planasonix-bridge check` finds mistakes.
sources:
  planasonix: # the name in the URL: POST /hooks/planasonix
    signature:
      preset: {answers.signature}
      {kind}:
        - {{id: current, {place}{algorithm}}}
# proxies: {{addresses: [127.0.0.1], header: X-Forwarded-For}} # whose word on senders counts

airflow:
  default:
    url: {spelled(answers.airflow_url)}
""" + (f"    auth: {{{auth}}}\n" if auth else "")


def mapping_yaml(answers: Answers) -> str:
    """Return the first route."""
    return f"""\
# Which pipelines start which DAGs. A change is used while the bridge runs; a broken file keeps the last good one.
# docs/mapping.md has all that a route can say. `planasonix-bridge test config/tests` tests it.
routes:
  - pipeline: {spelled(answers.pipeline)}
    dag: {spelled(answers.dag)}
"""


def tests_yaml(answers: Answers) -> str:
    """Return a test that the route fires when it should, and only then."""
    pipeline = spelled(answers.pipeline)
    return f"""\
# Tests of mapping.yaml: a webhook's body, and what it must start. They need no secret: run them in CI.
tests:
  - name: a load that succeeded starts its DAG
    sample: job.succeeded
    with: {{pipeline_id: {pipeline}}}
    starts: {spelled(answers.dag)}

  - name: a load that failed starts nothing
    sample: job.failed
    with: {{pipeline_id: {pipeline}}}
    starts: []
    because: no_route
"""


def values_yaml(answers: Answers) -> str:
    """Return the values of the chart; the two files of config/ are given to helm beside them."""
    store = "store: {type: sqlite} # one replica with a volume\n"
    urls = {"airflow": answers.airflow_url}
    if answers.on_postgresql:
        urls["postgresql"] = answers.store
        password = f"passwordSecret: {SECRET}, passwordKey: database-password"
        store = f"store:\n  type: postgresql\n  postgresql: {{url: {spelled(answers.store)}, {password}}}\n"
    test = (
        ""
        if answers.key == "webhook-secret"
        else "test: {enabled: false} # there is nothing to sign a test event with\n"
    )
    return f"""\
# Values of the chart, deploy/chart; its values.yaml explains all that there are.
image: {{repository: {spelled(answers.image or IMAGES[Place.KUBERNETES])}}} # where you pushed the image
{store}secrets: [{SECRET}]
adminToken: {{secret: {SECRET}, key: admin-token}}
{test}{network_policy(urls, SECRET)}# ingress: {{enabled: true, host: hooks.example.com, tlsSecret: hooks-tls}}
"""


def compose_yaml(answers: Answers) -> str:
    """Return the compose file."""
    names = answers.secrets
    image = spelled(answers.image) if answers.image else f"{IMAGES[Place.COMPOSE]} # what `make image` builds"
    return _filled(
        "compose.yaml",
        {
            "IMAGE": image,
            "SECRETS": ", ".join(names),
            "SECRET_FILES": "\n".join(f"  {name}: {{file: ./secrets/{name}}}" for name in names),
        },
    )


def unit(answers: Answers) -> str:
    """Return the unit of systemd."""
    store = "Environment=BRIDGE_DATABASE_URL=sqlite:////var/lib/planasonix-bridge/bridge.db"
    if answers.on_postgresql:
        url = answers.store.replace("%", "%%")  # which systemd would take for one of its own words
        password = f"{_PLACES_OF_SECRETS[Place.SYSTEMD]}/database-password"
        store = f"Environment=BRIDGE_DATABASE_URL={url}\nEnvironment=BRIDGE_DATABASE_PASSWORD_FILE={password}"
    lines = (f"LoadCredential={name}:/etc/planasonix-bridge/secrets/{name}" for name in answers.secrets)
    return _filled("planasonix-bridge.service", {"STORE": store, "CREDENTIALS": "\n".join(lines)})


def _filled(template: str, values: Mapping[str, str]) -> str:
    from importlib.resources import files as packaged  # which every other command would pay for

    text = packaged("bridge.cli").joinpath("templates", template).read_text("utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
