"""Process settings from `BRIDGE_*` variables and files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.edges.settings import Environment, list_settings, read_environment, setting_files
from bridge.words.errors import ConfigError
from bridge.words.roles import Role

_TOKEN = "a-token-that-4-people-know"


def _problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as wrong:
        read_environment(environ)
    return [problem.what for problem in wrong.value.problems]


def test_defaults() -> None:
    """Nothing has to be set, and what belongs to others is not looked at."""
    settings = read_environment({"PATH": "/bin", "XBRIDGE_PORT": "1", "bridge_port": "2", "AIRFLOW_USERNAME": ""})

    assert settings == Environment()
    assert (settings.database_url, settings.port, settings.admin_port) == ("sqlite:///./bridge.db", 8080, 8081)
    assert (settings.host, settings.admin_host) == ("0.0.0.0", "127.0.0.1")
    assert (settings.config, settings.mapping) == (Path("config/bridge.yaml"), Path("config/mapping.yaml"))
    assert settings.admin_token is None


# Seconds for which each keeps an idle connection to a backend, as its documentation says.
NEIGHBOURS = {"nginx and ingress-nginx": 60, "Amazon's load balancers": 60}


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_an_idle_connection_is_kept_longer_than_its_neighbours_keep_it(neighbour: str) -> None:
    """Who closes first must be the one that sends next: else a webhook meets a connection that is just closing.

    A proxy answers 502 then and repeats no POST. The rule for each listener that stands behind somebody's pool.
    """
    assert Environment().idle_seconds > NEIGHBOURS[neighbour] + 10


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("BRIDGE_DATABASE_URL", "postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("BRIDGE_HOST", "::1", "::1"),
        ("BRIDGE_PORT", "9090", 9090),
        ("BRIDGE_PORT", "0", 0),
        ("BRIDGE_ADMIN_HOST", "0.0.0.0", "0.0.0.0"),
        ("BRIDGE_ADMIN_PORT", "65535", 65535),
        ("BRIDGE_CONFIG", "/etc/bridge.yaml", Path("/etc/bridge.yaml")),
        ("BRIDGE_MAPPING", "/etc/mapping.yaml", Path("/etc/mapping.yaml")),
        ("BRIDGE_RETENTION_DAYS", "7", 7),
        ("BRIDGE_LEASE_SECONDS", "2.5", 2.5),
        ("BRIDGE_MAX_BODY_BYTES", "2048", 2048),
        ("BRIDGE_BODY_SECONDS", "0.5", 0.5),
        ("BRIDGE_INTAKE_LIMIT", "1", 1),
        ("BRIDGE_PUBLIC_ADMIN_URL", "https://bridge.example.com/ops/", "https://bridge.example.com/ops"),
        ("BRIDGE_FRAMED_BY", "https://a.example.com/  http://b:8080", "https://a.example.com http://b:8080"),
        ("BRIDGE_SHUTDOWN_SECONDS", "0", 0),
        ("BRIDGE_MAX_HOPS", "1", 1),
        ("BRIDGE_METRICS_OPEN", "true", True),
        ("BRIDGE_LOG_LEVEL", "DEBUG", "debug"),
        ("BRIDGE_LOG_FORMAT", "console", "console"),
    ],
)
def test_every_setting_is_a_variable_or_a_file(tmp_path: Path, variable: str, text: str, value: object) -> None:
    """`BRIDGE_X` and `BRIDGE_X_FILE` say the same; the file's final line break does not count."""
    file = tmp_path / "setting"
    file.write_text(text + "\n")
    field = variable.removeprefix("BRIDGE_").lower()

    assert getattr(read_environment({variable: text}), field) == value
    assert getattr(read_environment({variable + "_FILE": str(file)}), field) == value


def test_admin_token_is_masked_everywhere(tmp_path: Path) -> None:
    """The token is revealed on purpose only, and so is a password in the database's URL."""
    (tmp_path / "token").write_text(_TOKEN)

    for environ in ({"BRIDGE_ADMIN_TOKEN": _TOKEN}, {"BRIDGE_ADMIN_TOKEN_FILE": str(tmp_path / "token")}):
        settings = read_environment(environ | {"BRIDGE_DATABASE_URL": "postgresql://u:canary@h/d"})
        assert settings.admin_token is not None
        assert settings.admin_token.reveal() == _TOKEN
        assert _TOKEN not in repr(settings) + str(settings)
        assert "canary" not in repr(settings) + str(settings)


def test_every_role_has_a_token_of_its_own(tmp_path: Path) -> None:
    """Two roles with one token would make the lesser one the greater; in a file or not, and the value is not shown."""
    (tmp_path / "viewer").write_text(_TOKEN + "\n")
    environ = {"BRIDGE_VIEWER_TOKEN_FILE": str(tmp_path / "viewer"), "BRIDGE_METRICS_TOKEN": _TOKEN[::-1]}
    assert {role: token.reveal() for role, token in read_environment(environ).tokens.items()} == {
        Role.VIEWER: _TOKEN,
        Role.METRICS: _TOKEN[::-1],
    }
    with pytest.raises(ConfigError) as raised:
        read_environment(environ | {"BRIDGE_ADMIN_TOKEN": _TOKEN})
    assert "BRIDGE_VIEWER_TOKEN: is the same token as BRIDGE_ADMIN_TOKEN; give each role its own" in str(raised.value)
    assert _TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "text", "what"),
    [
        ("BRIDGE_PORT", "http", "BRIDGE_PORT: Input should be a valid integer"),
        ("BRIDGE_PORT", "65536", "BRIDGE_PORT: Input should be less than or equal to 65535"),
        ("BRIDGE_PORT", "-1", "BRIDGE_PORT: Input should be greater than or equal to 0"),
        ("BRIDGE_RETENTION_DAYS", "0", "BRIDGE_RETENTION_DAYS: Input should be greater"),
        ("BRIDGE_BODY_SECONDS", "nan", "BRIDGE_BODY_SECONDS: Input should be"),
        ("BRIDGE_BODY_SECONDS", "inf", "BRIDGE_BODY_SECONDS: Input should be a finite number"),
        ("BRIDGE_LEASE_SECONDS", "0", "BRIDGE_LEASE_SECONDS: Input should be greater"),
        ("BRIDGE_METRICS_OPEN", "maybe", "BRIDGE_METRICS_OPEN: Input should be a valid boolean"),
        ("BRIDGE_LOG_LEVEL", "loud", "BRIDGE_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'"),
        ("BRIDGE_DATABASE_URL", "mysql://canary", "BRIDGE_DATABASE_URL: must begin with sqlite:/// or postgresql://"),
        ("BRIDGE_ADMIN_TOKEN", "canary", "BRIDGE_ADMIN_TOKEN: The secret is shorter than 24 bytes."),
        ("BRIDGE_ADMIN_TOKEN", "changeme" * 3, "BRIDGE_ADMIN_TOKEN: The secret is a placeholder"),
        ("BRIDGE_PUBLIC_ADMIN_URL", "bridge.example.com", "BRIDGE_PUBLIC_ADMIN_URL: must be a URL that begins with"),
        ("BRIDGE_PUBLIC_ADMIN_URL", "https://u:p@b/", "BRIDGE_PUBLIC_ADMIN_URL: must not hold a user or password"),
        ("BRIDGE_PUBLIC_ADMIN_URL", "https://b/?a=1", "BRIDGE_PUBLIC_ADMIN_URL: must be scheme, host, port and path"),
        ("BRIDGE_PUBLIC_ADMIN_URL", "https://b/{{ x }}", "BRIDGE_PUBLIC_ADMIN_URL: must be a plain URL of at most 500"),
        (
            "BRIDGE_PUBLIC_ADMIN_URL",
            f"https://b/{'x' * 500}",
            "BRIDGE_PUBLIC_ADMIN_URL: must be a plain URL of at most",
        ),
        ("BRIDGE_FRAMED_BY", "https://a/b", "BRIDGE_FRAMED_BY: must be scheme, host and port only, with blanks"),
        ("BRIDGE_FRAMED_BY", "https://a;script-src", "BRIDGE_FRAMED_BY: must be scheme, host, port and path only"),
        ("BRIDGE_FRAMED_BY", "https://a *", "BRIDGE_FRAMED_BY: must be a URL that begins with"),
        ("BRIDGE_HOST", "", "BRIDGE_HOST: the environment variable BRIDGE_HOST is empty"),
        ("BRIDGE_ADMIN_TOKEN", " ", "BRIDGE_ADMIN_TOKEN: the environment variable BRIDGE_ADMIN_TOKEN is empty"),
        ("BRIDGE_CONFIG_FILE", "/not/there", "BRIDGE_CONFIG_FILE: the file /not/there cannot be read: No such file"),
        ("BRIDGE_CONFIG_FILE", "/", "BRIDGE_CONFIG_FILE: the file / cannot be read: Is a directory"),
        ("BRIDGE_CONFIG_FILE", "/dev/zero", "BRIDGE_CONFIG_FILE: the file /dev/zero is larger than"),
        ("BRIDGE_CONFIG_FILE", "/dev/null", "BRIDGE_CONFIG_FILE: the file /dev/null is empty"),
        ("BRIDGE_PROT", "1", "BRIDGE_PROT: unknown setting; did you mean BRIDGE_PORT?"),
        (
            "BRIDGE_ADMIN_TOKEN_FIEL",
            "x",
            "BRIDGE_ADMIN_TOKEN_FIEL: unknown setting; did you mean BRIDGE_ADMIN_TOKEN_FILE",
        ),
        ("BRIDGE_", "1", "BRIDGE_: unknown setting"),
        ("BRIDGE_FILE", "1", "BRIDGE_FILE: unknown setting"),
        ("BRIDGE_port", "1", "BRIDGE_port: unknown setting"),
        ("BRIDGE_PORT", "tcp://10.0.0.1:8080", "BRIDGE_PORT: comes from a Kubernetes Service named `bridge`"),
        ("BRIDGE_SERVICE_HOST", "10.0.0.1", "BRIDGE_SERVICE_HOST: comes from a Kubernetes Service"),
        ("BRIDGE_SERVICE_PORT_HTTP", "80", "BRIDGE_SERVICE_PORT_HTTP: comes from a Kubernetes Service"),
        ("BRIDGE_PORT_8080_TCP_ADDR", "10.0.0.1", "BRIDGE_PORT_8080_TCP_ADDR: comes from a Kubernetes Service"),
    ],
)
def test_wrong_setting_is_named(variable: str, text: str, what: str) -> None:
    """A wrong value, an empty or unknown variable, a bad file: the variable and the rule, never the value."""
    (problem,) = _problems({variable: text})

    assert problem.startswith(what)
    assert "canary" not in problem


def test_everything_wrong_at_once(tmp_path: Path) -> None:
    """All mistakes are reported together, in the order of their names."""
    (tmp_path / "latin").write_bytes(b"\xe4")
    environ = {
        "BRIDGE_PORT": "x",
        "BRIDGE_HOTS": "x",
        "BRIDGE_MAX_HOPS": "0",
        "BRIDGE_HOST": "127.0.0.1",
        "BRIDGE_HOST_FILE": "/not/there",
        "BRIDGE_MAPPING_FILE": str(tmp_path / "latin"),
    }

    problems = _problems(environ)

    assert [problem.partition(":")[0] for problem in problems] == [
        "BRIDGE_HOST_FILE",
        "BRIDGE_HOTS",
        "BRIDGE_MAPPING_FILE",
        "BRIDGE_MAX_HOPS",
        "BRIDGE_PORT",
    ]
    assert "is set beside BRIDGE_HOST" in problems[0]
    assert "is not UTF-8 text" in problems[2]


def test_problem_names_the_environment() -> None:
    """There is no line to point at; the place is the environment."""
    with pytest.raises(ConfigError, match=r"^environment: BRIDGE_PORT: "):
        read_environment({"BRIDGE_PORT": "x"})


def test_settings_are_frozen() -> None:
    """Nobody changes a setting while the service runs."""
    with pytest.raises(ValueError, match="frozen"):
        read_environment({}).port = 1


def test_list_for_the_documentation() -> None:
    """Every setting has a name, a default as one would write it, and a line that explains it."""
    rows = {row.name: row for row in list_settings()}

    assert set(rows) == {f"BRIDGE_{name.upper()}" for name in Environment.model_fields}
    assert rows["BRIDGE_METRICS_OPEN"].default == "false"
    assert rows["BRIDGE_ADMIN_TOKEN"].default == ""
    assert rows["BRIDGE_CONFIG"].default == "config/bridge.yaml"
    assert all(row.description.endswith(".") and "|" not in row.description for row in rows.values())
    assert read_environment({row.name: row.default for row in rows.values() if row.default}) == Environment()


_VARIABLES = st.sampled_from([row.name for row in list_settings()])
_NAMES = (
    _VARIABLES | _VARIABLES.map(lambda name: name + "_FILE") | st.text(max_size=8).map(lambda name: f"BRIDGE_{name}")
)


@given(st.dictionaries(_NAMES, st.text(max_size=12) | st.sampled_from(["1", "true", "info", "/", "\0"]), max_size=5))
def test_any_environment_is_read_or_a_config_error(environ: dict[str, str]) -> None:
    """Whatever is set, the only exception is ConfigError, with at least one problem."""
    try:
        read_environment(environ)
    except ConfigError as error:
        listed = error.problems
    else:
        return
    assert listed


def test_every_file_that_settings_are_read_from_is_known() -> None:
    """So that each of them is watched; a setting that is a path itself, and what belongs to others, is none."""
    environ = {
        "BRIDGE_ADMIN_TOKEN_FILE": "/run/admin",
        "BRIDGE_LOG_LEVEL_FILE": "/run/level",
        "BRIDGE_DATABASE_PASSWORD_FILE": "/run/password",
        "BRIDGE_CONFIG": "bridge.yaml",
        "BRIDGE_PORT_FILE": " ",
        "AIRFLOW_TOKEN_FILE": "/run/other",
    }
    assert setting_files(environ) == (Path("/run/admin"), Path("/run/level"))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ('"postgresql://bridge:canary@db/bridge"', "has quotes around the value"),
        ("postgresql://bridge:can@ry@db/bridge", "has a password or user with one of"),
        ("postgresql://bridge:can/ary@db/bridge", "has a password or user with one of"),
        ("postgresql://bridge:can?ary@db/bridge", "has a password or user with one of"),
        ("postgresql://bridge:can#ary@db/bridge", "has a password or user with one of"),
        ("postgresql://bridge:canary@db:port/bridge", "has a port that is no number"),
        (" postgresql://bridge:canary@db/bridge", "begins or ends with a blank"),
    ],
)
def test_a_wrong_database_url_is_blamed_on_itself(url: str, message: str) -> None:
    """It is looked at before any library is, whose message could hold the password."""
    (problem,) = _problems({"BRIDGE_DATABASE_URL": url})
    assert message in problem
    assert "canary" not in problem
    assert "ary@" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/bridge@home/bridge.db",
        "postgresql://db/bridge",
        "postgresql://bridge:p%40ss@db:5432/bridge?sslmode=require",
        "postgresql+psycopg://bridge@[::1]:5432/bridge",
        "postgresql://bridge@/bridge?host=/run/postgresql",
        "postgresql://db/bridge?user=bridge@tenant",
        "postgresql://u:p@db/bridge?options=a@b",
        "postgresql://u:p@one:1,two:2/bridge",
    ],
)
def test_a_right_database_url_is_taken(url: str) -> None:
    """Whatever SQLAlchemy and psycopg take."""
    assert read_environment({"BRIDGE_DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize("variable", ["BRIDGE_ADMIN_TOKEN", "BRIDGE_ENCRYPTION_KEYS"])
def test_quotes_around_a_secret_setting_are_refused(variable: str) -> None:
    """Env files keep them."""
    (problem,) = _problems({variable: f'"{_TOKEN}"'})
    assert "has quotes around the value" in problem


def test_a_database_password_is_looked_at(tmp_path: Path) -> None:
    """Each time that it is read."""
    file = tmp_path / "password"
    settings = read_environment({"BRIDGE_DATABASE_PASSWORD_FILE": str(file)})
    file.write_text("'canary'\n")
    with pytest.raises(ValueError, match="has quotes around the value"):
        settings.database_password()
    file.write_text("can ary\n")
    assert settings.database_password() == "can ary"


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://bridge:second@db/bridge", "second"),
        ("postgresql://bridge:p%40ss%2F%3A1@db:5432/bridge?sslmode=require", "p@ss/:1"),
        ("postgresql://bridge:second@one:1,two:2/bridge?options=a@b", "second"),
        ("postgresql://db/bridge?user=bridge&password=sec%40nd", "sec@nd"),
        ("postgresql://bridge:second@elsewhere/other", "second"),
        ("postgresql://bridge@db/bridge", None),
        ("postgresql://another:second@db/bridge", None),
    ],
)
def test_the_password_of_a_url_in_a_file_is_read_anew(tmp_path: Path, url: str, password: str | None) -> None:
    """What a rotation wrote there; never that of another user, since the user stays as it was at the start."""
    file = tmp_path / "url"
    file.write_text("postgresql://bridge:first@db/bridge\n")
    settings = read_environment({"BRIDGE_DATABASE_URL_FILE": str(file)})
    assert settings.database_password() == "first"
    file.write_text(url)
    assert settings.database_password() == password
    assert settings.database_url == "postgresql://bridge:first@db/bridge"


@pytest.mark.parametrize(
    "text", ["", "postgresql://bridge:ca/nary@db/bridge", "'postgresql://bridge:canary@db/bridge'"]
)
def test_while_a_url_in_a_file_is_broken_its_last_good_password_counts(tmp_path: Path, text: str) -> None:
    """As for every secret. A start, and the look at changed secrets, name the file, without its password."""
    file = tmp_path / "url"
    file.write_text("postgresql://bridge:first@db/bridge")
    settings = read_environment({"BRIDGE_DATABASE_URL_FILE": str(file)})
    file.write_text("postgresql://bridge:second@db/bridge")
    assert settings.database_password() == "second"
    file.write_text(text)
    assert settings.database_password() == "second"
    file.unlink()
    assert settings.database_password() == "second"
    file.write_text(text)
    with pytest.raises(ConfigError, match="BRIDGE_DATABASE_URL") as caught:
        read_environment({"BRIDGE_DATABASE_URL_FILE": str(file)})
    assert "nary" not in str(caught.value)


def test_a_password_in_a_file_of_its_own_counts_more_than_the_one_in_the_url(tmp_path: Path) -> None:
    """Also where the URL stands in a file; a URL in a variable has no password to read anew."""
    (tmp_path / "url").write_text("postgresql://bridge:in-the-url@db/bridge")
    (tmp_path / "password").write_text("of-its-own")
    variables = {
        "BRIDGE_DATABASE_URL_FILE": str(tmp_path / "url"),
        "BRIDGE_DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
    }
    assert read_environment(variables).database_password() == "of-its-own"
    assert read_environment({"BRIDGE_DATABASE_URL": "postgresql://bridge:p@db/bridge"}).database_password() is None
