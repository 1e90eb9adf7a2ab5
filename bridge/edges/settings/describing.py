"""The JSON Schema of bridge.yaml, for editors: the forms' own, with a word and an example for each key.

The forms read secrets, files and addresses, which a schema cannot: for such a key the table says what is written there.
"""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from bridge.edges.settings.config import File
from bridge.edges.settings.notifying import ON
from bridge.rules.event.spelling import FIELDS, MEANINGS
from bridge.rules.mapping import published_schema

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_HELD: dict[str, dict[str, Any]] = {
    "env": {"description": "The environment variable that holds it.", "examples": ["SECRET_NAME"]},
    "file": {"description": "The file that holds it.", "examples": ["/run/secrets/name"]},
}
_SECRET: dict[str, Any] = {
    "oneOf": [
        {"type": "object", "additionalProperties": False, "required": [kind], "properties": {kind: _TEXT | said}}
        for kind, said in _HELD.items()
    ]
}
_PUBLIC = {"anyOf": [_TEXT, *_SECRET["oneOf"]]}
_DURATION = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"}]}
_POINTER: dict[str, Any] = {"type": "string", "pattern": "^/"}
_POINTERS = {"anyOf": [_POINTER, {"type": "array", "items": _POINTER, "minItems": 1, "maxItems": 8}]}
_WORD = {"type": ["string", "number"]}
_WORDS = {"anyOf": [_WORD, {"type": "array", "items": _WORD}]}
_INSTANT = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}"}
_NETWORKS = {"type": "array", "items": _TEXT, "minItems": 1}
# What is written where a form reads something else.
_WRITTEN: dict[tuple[str, str], dict[str, Any]] = {
    **{("AuthForm", key): _SECRET for key in ("password", "token", "client_secret")},
    **{("AuthForm", key): _PUBLIC for key in ("username", "client_id")},
    ("_Api", "key"): _SECRET,
    ("NotifyForm", "to"): _SECRET,
    ("OpenIdForm", "secret"): _SECRET,
    ("NotifyForm", "on"): {"type": "array", "items": {"enum": list(ON)}, "minItems": 1},
    ("NotifyForm", "after"): _DURATION,
    ("_Airflow", "proxy"): _PUBLIC,
    **{(form, "headers"): {"type": "object", "additionalProperties": _PUBLIC} for form in ("_Airflow", "_Api")},
    ("_Airflow", "version"): {"enum": ["auto", "2", "3", 2, 3]},
    **{("FieldsForm", key): _POINTERS for key in FIELDS},
    **{("StatusesForm", key): _WORDS for key in MEANINGS},
    ("_Source", "redact"): {"type": "array", "items": {"type": "string", "pattern": "^/"}},
    ("_Source", "same_body_for"): _DURATION,
    ("_Source", "silent_after"): _DURATION,
    **{("_Reconcile", key): _DURATION for key in ("every", "grace", "since")},
    ("_Source", "allow_addresses"): _NETWORKS,
    ("ProxiesForm", "addresses"): _NETWORKS,
    **{("KeyForm", key): _INSTANT for key in ("not_before", "not_after")},
}
_A_SOURCE = {"signature": {"preset": "planasonix", "secrets": [{"id": "current", "file": "/run/secrets/webhook"}]}}
_AN_AIRFLOW = {"url": "http://airflow:8080", "auth": {"token": {"file": "/run/secrets/airflow-token"}}}
# By form and key: what it is, and an example (None: none is needed, or its choices are listed).
_SAID: dict[str, dict[str, tuple[str, Any]]] = {
    "File": {
        "sources": ("Where webhooks come from, by the name in the URL: POST /hooks/NAME.", {"planasonix": _A_SOURCE}),
        "airflow": (
            "Which Airflows may be called, by name; routes without `airflow` go to `default`.",
            {"default": _AN_AIRFLOW},
        ),
        "notify": (
            "Who is notified of what needs a person: services that apprise knows.",
            [{"to": {"file": "/run/secrets/chat-url"}, "on": ["failed", "airflow_down"]}],
        ),
        "sign_in": ("Where people sign in on the pages, beside the tokens of roles.", None),
        "proxies": ("In front of the bridge: only their word about a sender's address or certificate counts.", None),
    },
    "_Source": {
        "signature": ("How its webhooks are signed.", None),
        "stale": ("A correctly signed webhook that is too old: keep it aside, or answer 401.", "reject"),
        "api": ("The Planasonix API, to route an event that names no pipeline.", None),
        "allow_addresses": ("Webhooks may come from these addresses and networks only.", ["203.0.113.0/24"]),
        "client_certificate": ("The client certificate that a proxy must have seen.", None),
        "limits": ("How many webhooks are taken, and how many refusals one address may earn.", None),
        "same_body_for": ("For so long the same body without any id is a copy.", "10m"),
        "silent_after": ("A source that has sent nothing for so long needs a person; off without it.", "26h"),
        "reconcile": ("Ask the API which jobs have ended, and make up for webhooks that never came.", {"every": "5m"}),
        "cancel_abandoned": ("With `api`: cancel runs whose Airflow task was cleared or marked as failed.", True),
        "redact": ("JSON pointers: these values are never stored.", ["/data/parameters/email"]),
        "body": ("How its bodies are spelled, if not as Planasonix documents.", None),
        "timezone": ("The zone of instants that this sender writes without an offset.", "Europe/Berlin"),
    },
    "_Reconcile": {
        "every": ("How often the API is asked.", "5m"),
        "grace": ("A webhook may come this long after the end of its job.", "10m"),
        "since": ("Jobs that ended longer ago are not looked at.", "24h"),
        "types": ("The types of its webhooks about jobs, instead of those it was seen to deliver.", ["job.succeeded"]),
    },
    "BodyForm": {
        "preset": ("`none`: only what `fields` names is read, none of the usual names.", None),
        "fields": ("JSON pointers, looked at before the usual names.", {"pipeline_id": "/data/pipeline/uuid"}),
        "statuses": ("What this sender's status words mean, in any case.", {"succeeded": ["OK"], "failed": ["KO"]}),
    },
    "FieldsForm": {
        name: (f"Where `{name}` stands: a JSON pointer, or a list of them.", f"/data/{name}") for name in FIELDS
    },
    "StatusesForm": {name: (f"Words that mean `{name}`.", [name.upper()]) for name in MEANINGS},
    "SignatureForm": {
        "preset": ("The one scheme; docs/signatures.md says what each signs.", "planasonix"),
        "secrets": (
            "Up to five secrets at once, for a rotation.",
            [{"id": "current", "env": "PLANASONIX_WEBHOOK_SECRET"}],
        ),
        "public_keys": ("Public keys instead of secrets.", [{"id": "2026", "file": "planasonix.pem"}]),
        "past_seconds": ("An older timestamp is `stale`.", 300),
        "future_seconds": ("A timestamp further ahead is refused.", 60),
        "signature_header": ("The header with the signature.", "X-Signature"),
        "timestamp_header": ("The header with the timestamp.", "X-Timestamp"),
        "id_header": ("The header with the message id.", "X-Message-Id"),
        "prefix": ("What stands before the signature.", "v1"),
        "encoding": ("How the signature is spelled.", None),
        "signed_text": ("What is signed.", "{timestamp}.{body}"),
        "timestamp_unit": ("Seconds or milliseconds.", None),
        "signature_format": ("Of ECDSA: DER, or the two numbers.", None),
        "body": ("Preset jwt: where the body stands.", None),
        "body_claim": ("Preset jwt: the claim with the body's SHA-256.", "body_sha256"),
        "audience": ("Preset jwt: `aud` must be this.", "planasonix-bridge"),
        "issuer": ("Preset jwt: `iss` must be this.", "https://sender.example.com"),
    },
    "KeyForm": {
        "id": ("Its name in logs and metrics.", "current"),
        "env": ("The environment variable that holds it.", "PLANASONIX_WEBHOOK_SECRET"),
        "file": ("The file that holds it; a relative path begins at this file's folder.", "planasonix.pem"),
        "optional": (
            "The file may be missing or empty: the place for the next secret. One of all has to be there.",
            None,
        ),
        "jwks": ("The URL of a key set.", "https://login.example.com/.well-known/jwks.json"),
        "ca_file": ("The certificate authority of that URL.", "ca.pem"),
        "algorithm": ("Preset jwt: the one algorithm of this key.", None),
        "not_before": ("Not used before: a date in UTC, or an instant.", "2026-01-01"),
        "not_after": ("Not used after: a date in UTC, or an instant.", "2026-03-01T12:00:00Z"),
    },
    "_Api": {
        "url": ("Where it is.", "https://api.planasonix.com"),
        "key": ("The API key, by reference.", {"env": "PLANASONIX_API_KEY"}),
        "timeout_seconds": ("How long one call may take.", 10),
        "path_prefix": ("What stands before `/v1/jobs` and `/runs`, if your tenant differs.", "/planasonix/api"),
        "headers": ("Headers sent with every call, for a gateway that wants one.", {"X-Tenant": "acme"}),
        "ca_file": ("The certificate authority of an https URL.", "ca.pem"),
        "client_cert_file": ("The certificate to show.", "client.pem"),
        "client_key_file": ("Its key.", "client.key"),
    },
    "CertificateForm": {
        "header": ("The header that the proxy sets.", "X-SSL-Client-S-DN"),
        "names": ("The names that are let in.", ["CN=planasonix"]),
    },
    "LimitsForm": {
        "deliveries_per_minute": ("Verified webhooks in a minute; 0: any number.", 600),
        "refusals_per_minute": ("401s of one address in a minute; 0: any number.", 60),
    },
    "ProxiesForm": {
        "addresses": ("Their addresses and networks.", ["10.0.0.0/8"]),
        "header": ("The header that they set.", None),
    },
    "NotifyForm": {
        "to": ("The URL of a service that apprise knows, by reference.", {"env": "NOTIFY_URL"}),
        "on": ("Of what: words as `status` shows them; without it, all.", ["failed", "run_failed", "airflow_down"]),
        "after": ("How long a cause must have lasted before it is sent.", "5m"),
    },
    "SignInForm": {"openid": ("An OpenID provider, and what its groups may do.", None)},
    "OpenIdForm": {
        "issuer": ("The provider, as its own document spells it.", "https://login.example.com/realms/data"),
        "client_id": ("What the provider calls this bridge.", "planasonix-bridge"),
        "secret": ("The client's secret, by reference.", {"env": "OPENID_CLIENT_SECRET"}),
        "roles": ("What each group may do; of several the highest counts.", {"data-on-call": "operator"}),
        "scopes": ("What the provider is asked for.", ["openid", "email", "groups"]),
        "groups_claim": ("Where the ID token names a person's groups.", "groups"),
        "name_claim": ("What the audit log calls a person; `sub` where it is missing.", "email"),
        "ca_file": ("The certificate authority of the provider.", "ca.pem"),
    },
    "_Airflow": {
        "url": ("Where it is, without the path of the API.", "http://localhost:8080"),
        "auth": ("How to sign in: one way.", {"token": {"env": "AIRFLOW_TOKEN"}}),
        "version": ("Airflow's major version.", "3"),
        "concurrency": ("Calls at once, and one more while those of one DAG hang; 1 for an Airflow on SQLite.", 4),
        "rate": ("DAG runs per second.", 10),
        "wake": ("Wake its tasks that are parked until Planasonix tells how their run ended; Airflow 3.3.", True),
        "adaptive": ("false: call at the full pace also while it is under strain.", False),
        "connect_seconds": ("How long a connection may take.", 5),
        "read_seconds": ("How long to wait for each piece of an answer.", 30),
        "deadline_seconds": ("How long one call may take in all.", 60),
        "max_conf_bytes": ("The largest conf that is sent.", 65536),
        "ca_file": ("The certificate authority of an https URL.", "ca.pem"),
        "client_cert_file": ("The certificate to show.", "client.pem"),
        "client_key_file": ("Its key.", "client.key"),
        "verify_tls": ("false: believe any certificate. Not for production.", None),
        "proxy": ("The proxy to call it through.", "http://proxy.example.com:3128"),
        "headers": ("Sent along with every call.", {"X-Tenant": "sales"}),
    },
    "AuthForm": {
        "username": ("With `password`.", {"env": "AIRFLOW_USERNAME"}),
        "password": ("By reference.", {"env": "AIRFLOW_PASSWORD"}),
        "token": ("A token that lasts.", {"file": "token"}),
        "client_id": ("With `client_secret`.", {"env": "AIRFLOW_CLIENT_ID"}),
        "client_secret": ("By reference.", {"env": "AIRFLOW_CLIENT_SECRET"}),
        "exec": ("A command that prints a token.", ["gcloud", "auth", "print-access-token"]),
        "timeout_seconds": ("How long that command may take.", 10),
        "way": ("With username and password: basic, or a sign-in that is posted.", None),
        "path": ("Where the sign-in is posted.", "/auth/token"),
        "body": ("What is posted beside the credentials.", {"provider": "ldap"}),
    },
}


class _Generator(GenerateJsonSchema):
    """Leaves open what only the forms can judge."""

    def handle_invalid_for_json_schema(self, schema: core_schema.CoreSchema, error_info: str) -> JsonSchemaValue:  # noqa: ARG002
        return {}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (Draft 2020-12) of bridge.yaml."""
    title = "Configuration of the Planasonix to Airflow bridge"
    schema = published_schema(File, name="bridge", title=title, generator=_Generator)
    definitions = {name: _described(name, form) for name, form in schema["$defs"].items() if name in _SAID}
    return _described("File", schema) | {"$defs": definitions}


def _described(name: str, form: dict[str, Any]) -> dict[str, Any]:
    properties = {
        key: _WRITTEN.get((name, key), value) | _beside(name, key, value) for key, value in form["properties"].items()
    }
    return form | {"properties": properties}


def _beside(name: str, key: str, value: dict[str, Any]) -> dict[str, Any]:
    about, example = _SAID[name].get(key, (None, None))
    kept = {word: value[word] for word in ("default",) if value.get(word) not in (None, [], {})}
    return kept | ({"description": about} if about else {}) | ({} if example is None else {"examples": [example]})
