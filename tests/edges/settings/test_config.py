"""bridge.yaml: what it means, every mistake with its place, and no secret in any message."""

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.edges.settings import Config, Names, read_config, read_config_to_check, read_names
from bridge.rules.attention import WHATS
from bridge.rules.origin import Origin, Proxies
from bridge.rules.pacing import Quota
from bridge.words.errors import ConfigError
from bridge.words.targets import AirflowAuth, AirflowTarget

_SHIPPED = Path(__file__).parents[3] / "config" / "bridge.yaml"
_SECRET = "whsec_01jq8secretxxxxxxxxxxxxxxxx"
_ENVIRON = {
    "PLANASONIX_WEBHOOK_SECRET": _SECRET,
    "OLD_SECRET": "whsec_canary_of_the_time_before",
    "PLANASONIX_API_KEY": "canary-api-key",
    "AIRFLOW_USERNAME": "canary-user",
    "AIRFLOW_PASSWORD": "canary-password",
    "NOTIFY_URL": "json://chat.example.com",
    "QUOTED_URL": '"slack://canary/of/a/chat"',
    "TEMPLATE_URL": "${CHAT_URL}",
    "OPENID_CLIENT_SECRET": "canary-of-a-client-secret-0123456789",
    "EMPTY": "",
    "SHORT": "canary",
    "PLACEHOLDER": "your-webhook-signing-secret",
}
_SOURCES = """\
sources:
  planasonix:
    signature:
      preset: planasonix
      secrets:
        - {id: current, env: PLANASONIX_WEBHOOK_SECRET}
"""
_AIRFLOW = """\
airflow:
  default:
    url: http://localhost:8080
"""


def _read(text: str, base_dir: Path = Path("/nowhere")) -> Config:
    return read_config(text, file="bridge.yaml", environ=_ENVIRON, base_dir=base_dir)


def _problems(text: str, base_dir: Path = Path("/nowhere")) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        _read(text, base_dir)
    return [str(problem) for problem in wrong.value.problems]


def test_shipped_file_is_the_contract() -> None:
    """The shipped file says exactly what the documented example says, without the API that needs a key."""
    config = _read(_SHIPPED.read_text())

    (source,) = config.sources.values()
    verifier = source.verifier
    assert (source.name, source.keeps_stale, source.api) == ("planasonix", True, None)
    assert (verifier.preset.name, verifier.past_seconds, verifier.future_seconds) == ("planasonix", 300, 60)
    assert [(key.id, key.secret) for key in verifier.keys] == [("current", _SECRET.encode())]
    (airflow,) = config.airflows.values()
    assert airflow == AirflowTarget(name="default", url="http://localhost:8080", auth=airflow.auth)
    assert airflow.auth.username is not None
    assert airflow.auth.password is not None
    assert (airflow.auth.username.reveal(), airflow.auth.password.reveal()) == ("canary-user", "canary-password")


def test_comments_of_the_shipped_file_are_true() -> None:
    """Every commented-out key may be put in; those with a default show that default."""
    lines = _SHIPPED.read_text().splitlines()
    shown = [
        line.replace("# ", "", 1) if line.strip().startswith("# ") else line
        for line in lines[lines.index("sources:") :]
    ]
    kept = [line for line in shown if "_file:" not in line and "prefix:" not in line]

    config = _read("\n".join(kept))

    plain = _read(_SHIPPED.read_text())
    api = config.sources["planasonix"].api
    assert api is not None
    assert (api.url, api.key.reveal()) == ("https://api.planasonix.com", "canary-api-key")
    assert repr(config.airflows) == repr(plain.airflows)
    before, after = plain.sources["planasonix"].verifier, config.sources["planasonix"].verifier
    assert (before.past_seconds, before.future_seconds) == (after.past_seconds, after.future_seconds)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    """Every key reaches its place; relative files begin at the folder of bridge.yaml."""
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).write_text("x")
    (tmp_path / "secret").write_text("whsec_from_a_file_with_line_break\n")
    (tmp_path / "token").write_text("canary-token\n")
    text = """
sources:
  body_only-1:
    signature:
      preset: planasonix-body
      prefix: sha256
      secrets:
        - {id: "2025", file: secret}
        - {id: old-one, env: OLD_SECRET}
    stale: reject
    api:
      url: https://api.example/base/
      key: {env: PLANASONIX_API_KEY}
      timeout_seconds: 2
      path_prefix: /public
      headers: {X-Tenant: acme, X-Gate: {env: OLD_SECRET}}
      ca_file: ca.pem
      client_cert_file: client.pem
      client_key_file: client.key
  timed:
    signature: {preset: planasonix, past_seconds: 10, future_seconds: 0, secrets: [{id: a, env: OLD_SECRET}]}
airflow:
  eu:
    url: https://airflow.example/prefix/
    auth: {token: {file: token}}
    version: 3
    concurrency: 1
    rate: 0.5
    connect_seconds: 1
    read_seconds: 2
    deadline_seconds: 4.5
    max_conf_bytes: 2048
    ca_file: ca.pem
    client_cert_file: client.pem
    client_key_file: client.key
    verify_tls: false
  open: {url: "http://[::1]:8080", version: "2", auth: {username: bridge, password: {env: AIRFLOW_PASSWORD}}}
"""
    config = _read(text, tmp_path)

    item, two = config.sources.values()
    assert [(key.id, key.secret) for key in item.verifier.keys] == [
        ("2025", b"whsec_from_a_file_with_line_break"),
        ("old-one", _ENVIRON["OLD_SECRET"].encode()),
    ]
    assert (item.verifier.prefix, item.keeps_stale, two.keeps_stale) == ("sha256", False, True)
    assert item.api is not None
    assert (item.api.url, item.api.timeout_seconds, item.api.path_prefix) == ("https://api.example/base", 2, "/public")
    assert (item.api.ca_file, item.api.client_cert_file, item.api.client_key_file) == (
        str(tmp_path / "ca.pem"),
        str(tmp_path / "client.pem"),
        str(tmp_path / "client.key"),
    )
    assert {name: value.reveal() for name, value in item.api.headers.items()} == {
        "X-Tenant": "acme",
        "X-Gate": _ENVIRON["OLD_SECRET"],
    }
    assert (two.verifier.past_seconds, two.verifier.future_seconds) == (10, 0)
    eu, open_ = config.airflows.values()
    assert eu.auth.token is not None
    assert eu.auth.token.reveal() == "canary-token"
    assert eu == AirflowTarget(
        name="eu",
        url="https://airflow.example/prefix",
        auth=AirflowAuth(token=eu.auth.token),
        version="3",
        concurrency=1,
        rate=0.5,
        connect_seconds=1,
        read_seconds=2,
        deadline_seconds=4.5,
        max_conf_bytes=2048,
        ca_file=str(tmp_path / "ca.pem"),
        client_cert_file=str(tmp_path / "client.pem"),
        client_key_file=str(tmp_path / "client.key"),
        verify_tls=False,
    )
    watched = {"secret", "token", "ca.pem", "client.pem", "client.key"}
    assert set(config.files) == {tmp_path / name for name in watched}, "every file that was read is watched"
    assert open_.auth.username is not None
    assert (open_.url, open_.version, open_.auth.username.reveal()) == ("http://[::1]:8080", "2", "bridge")


def test_config_never_shows_a_secret() -> None:
    """The repr of everything that is read masks every secret."""
    text = _SHIPPED.read_text().replace("    # api:", "    api:")
    text = text.replace("    #   url:", "      url:").replace("    #   key:", "      key:")

    config = _read(text)

    assert config.sources["planasonix"].api is not None
    shown = repr(config) + str(config) + "".join(repr(source.verifier.keys) for source in config.sources.values())
    assert not any(secret in shown for secret in _ENVIRON.values() if secret)


_KEY = "- {id: current, env: PLANASONIX_WEBHOOK_SECRET}"


# What is replaced in a good file, by what, and what is said about it.
_MISTAKES = [
    ("preset: planasonix", "preset: planasonics", "unknown preset"),
    ("      preset: planasonix\n", "", 'the key "preset" is missing'),
    (_KEY, "[]", "is empty"),
    (_KEY, "- whsec_canary_written_into_the_file", "never written in this file"),
    (_KEY, "- {id: current, secret: whsec_canary_written_here}", "never written in this file"),
    (_KEY, "- {id: current, value: whsec_canary_written_here}", "never written in this file"),
    (_KEY, "- {id: current}", "give {env: NAME} or {file: PATH}"),
    (_KEY, "- {id: current, env: A, file: b}", "give {env: NAME} or {file: PATH}"),
    (_KEY, "- {env: PLANASONIX_WEBHOOK_SECRET}", 'the key "id" is missing'),
    (_KEY, "- {id: 'a b', env: PLANASONIX_WEBHOOK_SECRET}", "'a b' is not a name"),
    (_KEY, "- {id: current, env: NOT_SET}", "the environment variable NOT_SET is not set"),
    (_KEY, "- {id: current, env: EMPTY}", "the environment variable EMPTY is empty"),
    (_KEY, "- {id: current, env: SHORT}", "shorter than 24 bytes"),
    (_KEY, "- {id: current, env: PLACEHOLDER}", "placeholder"),
    (_KEY, "- {id: current, file: not_there}", "the file /nowhere/not_there cannot be read: No such file"),
    (_KEY, "- {id: current, file: /dev/null}", "the file /dev/null is empty"),
    (_KEY, f"{_KEY}\n        {_KEY}", "two secrets have the same id"),
    (_KEY, "\n        ".join(_KEY.replace("current", f"k{n}") for n in range(6)), "5"),
    ("    signature:", "    stale: maybe\n    signature:", '"maybe" is not valid here; it can be keep, reject'),
    ("    signature:", "    unsigned: true\n    signature:", 'unknown key "unsigned"'),
    ("preset: planasonix", "preset: planasonix\n      prefix: sha256", "has the prefix v1 only"),
    ("preset: planasonix", "preset: planasonix-body\n      past_seconds: 300", "signs no timestamp"),
    ("preset: planasonix", "preset: planasonix\n      past_seconds: -1", "1"),
    ("preset: planasonix", "preset: planasonix\n      future_seconds: 1.5", "integer"),
    ("  planasonix:", "  'a/b':", "'a/b' is not a name"),
    ("http://localhost:8080", "localhost:8080", "http:// or https://"),
    ("http://localhost:8080", "ftp://localhost", "http:// or https://"),
    ("http://localhost:8080", "http://", "http:// or https://"),
    ("http://localhost:8080", "http://canary:canary@localhost", "must not hold a user or password"),
    ("http://localhost:8080", "http://localhost/?token=canary", "scheme, host, port and path only"),
    ("http://localhost:8080", "http://localhost:99999", "is not a URL"),
    ("http://localhost:8080", "http://local host", "scheme, host, port and path only"),
    ("http://localhost:8080", "{env: URL}", "string"),
    ("http://localhost:8080", "http://h\n    version: 4", '"4" is not valid here; it can be auto, 2, 3'),
    ("http://localhost:8080", "http://h\n    concurrency: 0", "1"),
    ("http://localhost:8080", "http://h\n    rate: .inf", "number"),
    ("http://localhost:8080", "http://h\n    read_seconds: 0", "0"),
    ("http://localhost:8080", "http://h\n    concurency: 4", 'unknown key "concurency", did you mean "concurrency"?'),
    ("http://localhost:8080", "http://h\n    ca_file: not_there", "cannot be read"),
    ("http://localhost:8080", "http://h\n    client_key_file: /dev/null", "needs client_cert_file"),
    ("http://localhost:8080", "http://h\n    auth: {username: a}", "give one of: username and password; token;"),
    ("http://localhost:8080", "http://h\n    auth: {}", "give one of: username and password; token;"),
    ("http://localhost:8080", "http://h\n    auth: {token: canary}", "never written in this file"),
    (
        "http://localhost:8080",
        "http://h\n    auth: {username: a, password: canary}",
        "never written in this file",
    ),
    (
        "http://localhost:8080",
        "http://h\n    auth: {username: a, password: {env: AIRFLOW_PASSWORD}, token: {env: AIRFLOW_PASSWORD}}",
        "give one of: username and password; token;",
    ),
]


_KEPT = _KEY + "\n"
_MISTAKES += [
    (_KEPT, _KEPT + "    " + more, what)
    for more, what in [
        ("allow_addresses: []\n", "is empty"),
        ("allow_addresses: 203.0.113.7\n", "list"),
        ("allow_addresses: [203.0.113]\n", "must be an address or a network"),
        ("allow_addresses: [203.0.113.7/24]\n", "203.0.113.0/24 would be one"),
        ("allow_addresses: [hooks.example.com]\n", "must be an address or a network"),
        ("allow_addresses: [1]\n", "must be an address or a network"),
        ("allow_address: [203.0.113.7]\n", 'did you mean "allow_addresses"?'),
        ("client_certificate: {header: X-Client, names: [CN=a]}\n", "needs `proxies`"),
        ("limits: {refusals_per_minute: -1}\n", "0"),
        ("limits: {deliveries_per_minute: many}\n", "integer"),
        ("limits: {refusal_per_minute: 1}\n", 'did you mean "refusals_per_minute"?'),
        ("cancel_abandoned: true\n", "cancel_abandoned needs `api`"),
        ("cancel_abandoned: 5\n", "boolean"),
    ]
]
_MISTAKES += [
    ("airflow:\n", "proxies: " + given + "\nairflow:\n", what)
    for given, what in [
        ("{addresses: []}", "is empty"),
        ("{addresses: [10.0.0.0/8, 0.0.0.0/0]}", "lists everybody"),
        ("{addresses: ['::/0']}", "lists everybody"),
        ("{addresses: [10.0.0.0/8], header: X-Real-IP}", "X-Forwarded-For"),
        ("{}", 'the key "addresses" is missing'),
    ]
]


@pytest.mark.parametrize(("old", "new", "what"), _MISTAKES)
def test_one_mistake(old: str, new: str, what: str) -> None:
    """Each mistake is one problem with a line, a column and what to do, and shows no secret."""
    good = _SOURCES + _AIRFLOW
    assert good.count(old) >= 1

    problems = _problems(good.replace(old, new, 1))

    assert len(problems) == 1
    file, line, column, said = problems[0].split(":", 3)
    assert (file, line.isdigit(), column.isdigit()) == ("bridge.yaml", True, True)
    assert what in said
    assert "canary" not in problems[0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", ""),
        ("[]", ""),
        ("text", ""),
        (_AIRFLOW, "sources"),
        (_SOURCES, "airflow"),
        (_AIRFLOW + "sources: {}\n", "1"),
        (_SOURCES + "airflow: {}\n", "1"),
        (_AIRFLOW + "sources: {planasonix: }\n", ""),
        (_AIRFLOW + "sources: {planasonix: {}}\n", "signature"),
        (_SOURCES + _AIRFLOW + _AIRFLOW, "airflow"),
        (_SOURCES.replace("secrets:", "secret:") + _AIRFLOW, 'unknown key "secret", did you mean "secrets"?'),
        (_SOURCES + _AIRFLOW + "routes: []\n", "routes"),
        (_SOURCES + _AIRFLOW + "  default: {}\n", "default"),
        (_SOURCES + "airflow: &a\n  default: *a\n", ""),
        (_SOURCES + "airflow: !!python/object:os.system {}\n", ""),
        ("\tsources: {}\n", ""),
        ("sources: {", ""),
        ("\0", ""),
    ],
)
def test_wrong_shape(text: str, what: str) -> None:
    """Missing, empty, repeated and unknown parts, and what is no YAML, are problems with a place."""
    problems = _problems(text)

    assert problems
    assert all(problem.startswith("bridge.yaml") for problem in problems)
    assert any(what in problem for problem in problems)


def test_all_mistakes_at_once() -> None:
    """One reading tells about every mistake, in the order of the file."""
    text = """\
sources:
  one:
    signature:
      preset: planasonics
      secrets: [{id: a, env: NOT_SET}, whsec_canary]
    stale: never
airflow:
  default:
    url: localhost
    auth: {username: {env: EMPTY}, password: canary}
    concurrency: many
"""
    problems = _problems(text)

    lines = [int(problem.split(":")[1]) for problem in problems]
    assert lines == [4, 5, 5, 6, 9, 10, 10, 11]
    assert "canary" not in "".join(problems)


_WORDS = st.sampled_from(["id", "env", "file", "preset", "secrets", "url", "key", "auth", "token", "signature", "x"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["planasonix", "2"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=6,
)


def _yaml(value: Any) -> str:
    """Write a value as flow YAML; JSON is YAML, but for what JSON cannot say."""
    return json.dumps(value).replace("NaN", ".nan").replace("-Infinity", "-.inf").replace("Infinity", ".inf")


@given(
    st.sampled_from(["sources", "airflow"]),
    st.dictionaries(
        st.sampled_from(["signature", "stale", "api", "url", "auth", "version", "rate", "ca_file", "verify_tls"]),
        _VALUES,
        max_size=4,
    ),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_tree_is_read_or_a_config_error(part: str, entry: dict[str, Any]) -> None:
    """Any values at any place give a configuration or ConfigError, nothing else."""
    other = _AIRFLOW if part == "sources" else _SOURCES
    try:
        _read(f"{other}{part}: {{x: {_yaml(entry)}}}\n")
    except ConfigError as error:
        listed = error.problems
    else:
        return
    assert listed


@given(st.text(max_size=60), st.integers(0, 200))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_text_is_read_or_a_config_error(noise: str, place: int) -> None:
    """Text of any kind, alone or in the middle of a good file, gives a configuration or ConfigError."""
    good = _SOURCES + _AIRFLOW
    for text in (noise, good[:place] + noise + good[place:]):
        try:
            _read(text)
        except ConfigError as error:
            listed = error.problems
        else:
            continue
        assert listed


def test_where_webhooks_come_from_and_how_many() -> None:
    """Proxies, addresses, certificates and limits, and what they are when nobody says."""
    more = """\
    allow_addresses: [203.0.113.0/24, "2001:db8::7"]
    client_certificate: {header: X-SSL-Client-S-DN, names: ["CN=planasonix,O=Example"]}
    limits: {deliveries_per_minute: 600}
"""
    proxies = "proxies: {addresses: [10.0.0.0/8], header: Forwarded}\n"

    plain = _read(_SOURCES + _AIRFLOW)
    config = _read(proxies + _SOURCES.replace(_KEPT, _KEPT + more) + _AIRFLOW)

    assert plain.proxies == Proxies()
    assert (plain.sources["planasonix"].origin, plain.sources["planasonix"].quota) == (None, Quota(0, 300))
    assert config.proxies == Proxies((ip_network("10.0.0.0/8"),), b"forwarded")
    assert config.sources["planasonix"].quota == Quota(600, 300)
    assert config.sources["planasonix"].origin == Origin(
        (ip_network("203.0.113.0/24"), ip_network("2001:db8::7/128")),
        b"x-ssl-client-s-dn",
        frozenset({b"CN=planasonix,O=Example"}),
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[/data/email, /id]", "'/id' covers /id, which the bridge needs"),
        ("[email]", "'email' is not a JSON pointer like"),
        ("/data/email", "give a list of JSON pointers"),
        ("[]", "give 1 to 100 JSON pointers"),
    ],
)
def test_a_wrong_redaction_is_told_with_its_place(written: str, message: str) -> None:
    """A pointer that cannot be is a mistake of the configuration, not a value that is stored after all."""
    (told,) = _problems(f"{_SOURCES}    redact: {written}\n{_AIRFLOW}")
    assert told.startswith("bridge.yaml:7:")
    assert message in told


# --- credentials, and doing without -----------------------------------------------------------------

_SLIPS = {
    '"whsec_01jq8secretxxxxxxxxxxxxxxxx"': "has quotes around the value",
    "'whsec_01jq8secretxxxxxxxxxxxxxxxx'": "has quotes around the value",
    "Bearer 01jq8secretxxxxxxxxxxxxxxxx": "begins with `Bearer `",
    "basic 01jq8secretxxxxxxxxxxxxxxxxx": "begins with `basic `",
    "${PLANASONIX_WEBHOOK_SECRET_OF_US}": "is a placeholder that nothing has filled in",
    "<paste the secret of the webhook here>": "is a placeholder that nothing has filled in",
    "“whsec_01jq8secretxxxxxxxxxxxxxxxx”": "has quotes around the value",
    "„01jq8secretxxxxxxxxxxxxxxxxxxxxxx“": "has quotes around the value",
    "Bearer: 01jq8secretxxxxxxxxxxxxxxxx": "begins with `Bearer: `",
    "Token 01jq8secretxxxxxxxxxxxxxxxxxx": "begins with `Token `",
    "$PLANASONIX_WEBHOOK_SECRET_NEW_2": "is the name of a variable",
    "%PLANASONIX_WEBHOOK_SECRET_OF_US%": "is the name of a variable",
    "PLANASONIX_WEBHOOK_SECRET=whsec_01jq8secretxxxxxxxxxxxxxxxx": "begins with the name of a variable",
    'secret: "whsec_01jq8secretxxxxxxxxxxxxxxxx"': "begins with the name of a variable",
    "export S=01jq8secretxxxxxxxxxxxxxxxx": "begins with the name of a variable",
    '"whsec_01jq8secretxxxxxxxxxxxxxxxx': "has a quote at one end",
    "whsec_01jq8secretxxxxxxxxxxxxxxxx'": "has a quote at one end",
    "whsec_01jq8secretxxxxxxxxxxxxxxxx # current": "has a comment at its end",
}
_CREDENTIALS = {
    "a webhook's secret": _SOURCES.replace("PLANASONIX_WEBHOOK_SECRET", "SLIP") + _AIRFLOW,
    "an API key": _SOURCES + "    api: {url: https://a.example, key: {env: SLIP}}\n" + _AIRFLOW,
    "a token": _SOURCES + _AIRFLOW + "    auth: {token: {env: SLIP}}\n",
    "a password": _SOURCES + _AIRFLOW + "    auth: {username: u, password: {env: SLIP}}\n",
    "a user": _SOURCES + _AIRFLOW + "    auth: {username: {env: SLIP}, password: {env: AIRFLOW_PASSWORD}}\n",
}


@pytest.mark.parametrize("text", _CREDENTIALS.values(), ids=_CREDENTIALS)
@pytest.mark.parametrize("slip", _SLIPS)
def test_every_credential_is_looked_at_when_it_is_loaded(text: str, slip: str) -> None:
    """A slip is blamed on the credential, at its place, and neither on Airflow nor on senders; it is never shown."""
    with pytest.raises(ConfigError) as wrong:
        read_config(text, file="bridge.yaml", environ={**_ENVIRON, "SLIP": slip}, base_dir=Path("/nowhere"))
    (problem,) = wrong.value.problems
    assert _SLIPS[slip] in problem.what
    assert problem.line > 1
    assert "01jq8secret" not in str(problem)


@pytest.mark.parametrize("text", _CREDENTIALS.values(), ids=_CREDENTIALS)
@pytest.mark.parametrize(
    "secret",
    [
        "whsec_01jq8secret+/xxxxxxxxxxxxx==",
        "key=01jq8secretxxxxxxxxxxxxxxxx",
        "01jq8secret #xxxxx xxxxxxxxxxxx",
        "'01jq8secretxxxxxxxxxxxxxxxxxxxx",
        "$K7F3Q9ZJ01JQ8SECRETXXXXXXXXXXXX",
        "$01jq8secretxxxxxxxxxxxxxxxxxxxx",
        "%01jq8secret%xxxxxxxxxxxxxxxxxxx",
        "token of mine 01jq8secretxxxxxxx",
        "exporting=01jq8secretxxxxxxxxxxx",
    ],
)
def test_no_credential_that_somebody_may_have_is_refused(text: str, secret: str) -> None:
    """A generator may give any letter at any place."""
    read_config(text, file="bridge.yaml", environ={**_ENVIRON, "SLIP": secret}, base_dir=Path("/nowhere"))


@pytest.mark.parametrize(
    "written", ["http://localhost:8080/api/v2", "http://localhost:8080/api/v1/", "http://localhost:8080/api"]
)
def test_the_path_of_the_api_is_no_part_of_an_airflows_url(written: str) -> None:
    """The message says what to write, since the bridge adds the path itself."""
    text = _SOURCES + _AIRFLOW.replace("http://localhost:8080", written)
    assert any("write http://localhost:8080" in problem for problem in _problems(text))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("path_prefix: api", "must be a path such as /api"),
        ("path_prefix: /api/", "without a slash at its end"),
        ('path_prefix: "/a?b"', "must be a path such as /api"),
        ("headers: {Authorization: x}", "`auth` or `key` sets Authorization"),
        ("headers: {X-Key: {env: NOT_THERE}}", "NOT_THERE"),
        ("ca_file: not_there", "cannot be read"),
        ("client_key_file: /etc/hosts", "client_key_file needs client_cert_file"),
    ],
)
def test_what_the_planasonix_api_cannot_be_called_with_is_said_at_start(more: str, what: str) -> None:
    """A prefix that is no path and a header that cannot be sent have their line."""
    api = f"    api: {{url: https://a.example, key: {{env: PLANASONIX_API_KEY}}, {more}}}\n"
    assert any(what in problem for problem in _problems(_SOURCES + api + _AIRFLOW))


_NEEDY = (
    _CREDENTIALS["a password"].replace("SLIP", "AIRFLOW_PASSWORD").replace("username: u", "username: {env: USER_NAME}")
    + "    proxy: {env: PROXY_URL}\n    headers: {X-Key: {file: key}}\n"
    + "    client_cert_file: /etc/hosts\n    client_key_file: client.key\n"
)


def test_what_needs_no_secret_does_without(tmp_path: Path) -> None:
    """Where none is there, each is named once and the rest is read; `serve` still refuses."""
    config = read_config_to_check(_NEEDY, file="bridge.yaml", environ={}, base_dir=tmp_path)
    assert set(config.absent) == {
        *("PLANASONIX_WEBHOOK_SECRET", "USER_NAME", "AIRFLOW_PASSWORD", "PROXY_URL", "key"),
        "client.key",
    }
    assert (list(config.sources), list(config.airflows)) == (["planasonix"], ["default"])
    with pytest.raises(ConfigError):
        read_config(_NEEDY, file="bridge.yaml", environ={}, base_dir=tmp_path)


def test_some_secrets_and_not_all_are_a_mistake(tmp_path: Path) -> None:
    """Then this is a place where they should be, and the one that is missing was forgotten."""
    environ = {"AIRFLOW_PASSWORD": "canary-password"}
    with pytest.raises(ConfigError, match="PLANASONIX_WEBHOOK_SECRET is not set"):
        read_config_to_check(_NEEDY, file="bridge.yaml", environ=environ, base_dir=tmp_path)


def test_every_preset_can_be_read_without_its_keys(tmp_path: Path) -> None:
    """Also public keys, whose form cannot be guessed."""
    for preset in ("planasonix", "standard-webhooks", "jwt"):
        more = ", algorithm: RS256" if preset == "jwt" else ""
        kind = "public_keys" if preset == "jwt" else "secrets"
        text = f"sources:\n  s: {{signature: {{preset: {preset}, {kind}: [{{id: k, env: NO_KEY{more}}}]}}}}\n{_AIRFLOW}"
        config = read_config_to_check(text, file="bridge.yaml", environ={}, base_dir=tmp_path)
        assert config.absent == ("NO_KEY",)


def test_names_are_read_whatever_else_is_wrong() -> None:
    """A mapping can be checked beside a bridge.yaml with mistakes, or without one."""
    assert read_names(_SOURCES + _AIRFLOW + "    nonsense: 1\n", file="b") == Names(("planasonix",), ("default",))
    assert read_names("sources: [", file="b") is None
    assert read_names("sources: {}\n", file="b") is None


@pytest.mark.parametrize(
    ("given", "seconds"), [("10m", 600), ("90s", 90), ("0", None), ("1h", 3600), (0, 0), (45, 45), ("7d", 604_800)]
)
def test_how_long_the_same_body_is_a_copy(given: object, seconds: float | None) -> None:
    """Seconds, or a number with its unit; ten minutes unless said otherwise."""
    text = _SHIPPED.read_text()
    spelled = f'"{given}"' if isinstance(given, str) else str(given)
    changed = text.replace("    # same_body_for: 10m ", f"    same_body_for: {spelled} ")
    assert changed != text
    if seconds is None:
        with pytest.raises(ConfigError, match="is not a duration"):
            _read(changed)
    else:
        (source,) = _read(changed).sources.values()
        assert source.same_body_seconds == seconds
    (usual,) = _read(text).sources.values()
    assert usual.same_body_seconds == 600


def test_a_header_may_begin_with_a_scheme_and_is_looked_at() -> None:
    """Its value is all that is sent; quotes around it are a slip as everywhere."""
    text = _SOURCES + _AIRFLOW + "    headers: {X-Gateway: {env: GATEWAY}}\n"
    environ = {**_ENVIRON, "GATEWAY": "Basic canary-of-a-gateway"}
    (airflow,) = read_config(text, file="b", environ=environ, base_dir=Path("/nowhere")).airflows.values()
    assert airflow.headers["X-Gateway"].reveal() == "Basic canary-of-a-gateway"
    for value, what in (
        ("'canary'", "has quotes around the value"),
        ('"Basic canary"', "has quotes around the value"),
        ("Basic 'canary'", "has quotes around the value"),
        (" Basic canary", "begins or ends with a blank"),
        ("Basic ${CANARY}", "is a placeholder"),
        ("${CANARY OF A GATEWAY}", "is a placeholder"),
    ):
        environ["GATEWAY"] = value
        with pytest.raises(ConfigError, match=what) as mistake:
            read_config(text, file="b", environ=environ, base_dir=Path("/nowhere"))
        assert "canary" not in str(mistake.value).lower()


_NOTIFY = _SOURCES + _AIRFLOW + "notify:\n"


def test_who_is_notified_is_called_as_the_secret_is(tmp_path: Path) -> None:
    """And hears of everything but what is a matter of time, unless it says of what; a file is read again."""
    (tmp_path / "pager").write_text("pagerduty://canary\n")
    text = _NOTIFY + "  - to: {env: OLD_SECRET}\n  - {to: {file: pager}, on: [failed, held_too_long], after: 10m}\n"
    chat, pager = (config := _read(text, tmp_path)).notify
    assert (chat.name, chat.on, chat.after_seconds) == ("OLD_SECRET", frozenset(WHATS), 30.0)
    assert (pager.name, pager.on, pager.after_seconds) == ("pager", {"failed", "held_too_long"}, 600.0)
    assert pager.url.reveal() == "pagerduty://canary"
    assert config.files == (tmp_path / "pager",)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{to: json://canary}", "a secret is never written in this file"),
        ("{to: {env: MISSING}}", "MISSING"),
        ("{to: {env: QUOTED_URL}}", "the environment variable QUOTED_URL holds has quotes around the value"),
        ("{to: {env: TEMPLATE_URL}}", "the environment variable TEMPLATE_URL holds is a placeholder"),
        ("{to: {env: OLD_SECRET}, on: [run_faild]}", "did you mean run_failed?"),
        ("{to: {env: OLD_SECRET}, on: []}", "is empty"),
        ("{to: {env: OLD_SECRET}, after: 2d}", "must be a day at most"),
        ("{to: {env: OLD_SECRET}, every: 1h}", "every"),
        ("{on: [failed]}", "to"),
        ("{to: {env: OLD_SECRET}}\n  - {to: {env: OLD_SECRET}}", "OLD_SECRET stands here twice"),
    ],
)
def test_a_mistake_in_who_is_notified_is_found_at_start(entry: str, said: str) -> None:
    """With its place, and without what is secret."""
    (problem,) = _problems(f"{_NOTIFY}  - {entry}\n")
    assert said in problem
    assert "canary" not in problem
