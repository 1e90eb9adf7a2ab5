"""What commands need of the environment: settings, configuration, the store or a running bridge."""

import getpass
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bridge.cli.output import say
from bridge.edges.inbox import Inbox
from bridge.edges.mapping_files import Content, look, text_of
from bridge.edges.remote import Remote
from bridge.edges.settings import (
    Absent,
    Config,
    Environment,
    Names,
    plain_url,
    read_config,
    read_config_so_far,
    read_config_to_check,
    read_config_without_secrets,
    read_environment,
    read_names,
    read_token,
)
from bridge.rules.event import USUAL, Spelling
from bridge.rules.mapping import Mapping as RouteMap
from bridge.rules.mapping import Part, Route, join, read_part
from bridge.rules.sources import Source
from bridge.rules.troubles import Trouble, of_files
from bridge.words.errors import ConfigError, Problem
from bridge.words.pauses import PauseKind
from bridge.words.targets import PlanasonixApi

_OF_FILES = ("config", "mapping", "max_hops", "public_admin_url")


def environment() -> Environment:
    """Read BRIDGE_*; raises ConfigError."""
    return read_environment(os.environ)


def environment_to_check() -> tuple[Environment, tuple[str, ...]]:
    """Read BRIDGE_* without the variables that name a file which is not there; these are returned. ConfigError."""
    lacking: list[str] = []
    return read_environment(os.environ, lacking=lacking), tuple(lacking)


def file_settings() -> Environment:
    """Read the BRIDGE_* of commands that only read files; whatever else is set is not looked at. ConfigError."""
    return read_environment(os.environ, only=_OF_FILES)


def configuration(settings: Environment) -> Config:
    """Read bridge.yaml; raises ConfigError."""
    path = settings.config
    return read_config(file_text(path), file=str(path), environ=os.environ, base_dir=path.parent)


def configuration_to_check(settings: Environment) -> Config:
    """Read bridge.yaml for `check`, also where no secret is: `absent` names those that are not there. ConfigError."""
    path = settings.config
    return read_config_to_check(file_text(path), file=str(path), environ=os.environ, base_dir=path.parent)


def configuration_so_far(settings: Environment) -> Config:
    """Read bridge.yaml for what sets a source up, while secrets of webhooks are still to come. ConfigError."""
    path = settings.config
    return read_config_so_far(file_text(path), file=str(path), environ=os.environ, base_dir=path.parent)


def configuration_without_secrets(settings: Environment) -> Config:
    """Read bridge.yaml for what needs no secret at all. ConfigError."""
    path = settings.config
    return read_config_without_secrets(file_text(path), file=str(path), base_dir=path.parent)


def note_no_secret(absent: Sequence[str]) -> None:
    """Say that no secret is set, and which `serve` needs."""
    say(f"note: no secret is set, and `serve` needs {', '.join(absent)}")


def is_without_secrets(settings: Environment, config: Config) -> bool:
    """Whether none of the secrets that a configuration names, read without them, is here."""
    folder = settings.config.parent
    return bool(config.absent) and not any(name in os.environ or (folder / name).exists() for name in config.absent)


def configuration_if_there(settings: Environment) -> Config | None:
    """Read bridge.yaml for what needs no secret at all; None if there is no such file. ConfigError."""
    return configuration_without_secrets(settings) if settings.config.exists() else None


def names(path: Path) -> Names | None:
    """Return the names of a bridge.yaml with any mistake; None if it is not there, or no YAML."""
    try:
        return read_names(file_text(path), file=str(path))
    except ConfigError:
        return None


def reader(settings: Environment) -> Callable[[], tuple[Environment, Config]]:
    """Return what reads the settings, and the configuration of today's bridge.yaml with the secrets of that moment.

    Raises ConfigError, and so does what it returns.
    """
    text, path = file_text(settings.config), settings.config
    return lambda: (
        read_environment(os.environ),
        read_config(text, file=str(path), environ=os.environ, base_dir=path.parent),
    )


def mapping(path: Path, names: Config | Names | None, *, pages_url: str | None = None) -> RouteMap:
    """Read the mapping, a file or a folder; raises ConfigError with the mistakes of all files.

    `names`: what it may name, None for anything.
    `pages_url`: where the pages of the bridge are, for the notes of DAG runs.
    """
    found = look(path)
    if found.problem is not None:
        raise ConfigError([Problem(str(path), 0, 0, found.problem)])
    return mapping_of(found.files, names, pages_url=pages_url)


def mapping_of(files: Mapping[str, Content], names: Config | Names | None, *, pages_url: str | None = None) -> RouteMap:
    """Read the mapping that these files make together; raises ConfigError with the mistakes of all of them."""
    airflows, sources = (None, None) if names is None else (names.airflows, names.sources)
    parts: list[Part] = []
    problems: list[Problem] = []
    for file, content in files.items():
        try:
            text = text_of(file, content)
            parts.append(read_part(text, file=file, airflows=airflows, sources=sources, pages_url=pages_url))
        except ConfigError as error:
            problems += error.problems
    try:
        found = join(parts)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return found


def file_text(path: Path) -> str:
    """Return the text of a file; raises ConfigError."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ConfigError([Problem(str(path), 0, 0, f"cannot be read: {what}")]) from None


def source(config: Config, name: str | None) -> Source:
    """Return the source of this name, or the only one; raises ConfigError naming those there are."""
    if name is None and len(config.sources) == 1:
        return next(iter(config.sources.values()))
    if name in config.sources:
        return config.sources[name]
    what = f"say which: {', '.join(config.sources)}" if name is None else f"no source {name!r}"
    raise ConfigError([Problem("--source", 0, 0, what)])


def with_api(config: Config, name: str | None) -> tuple[str, PlanasonixApi]:
    """Return the source of this name, or the only one with `api`, and the API; ConfigError names those there are."""
    asked = [each for each in config.sources.values() if each.api is not None]
    found = asked[0] if name is None and len(asked) == 1 else config.sources.get(name or "")
    if found is None or found.api is None:
        known = ", ".join(each.name for each in asked) or "none: add `api: {url, key}` to the source in bridge.yaml"
        what = "say which source" if found is None else f"source {found.name} has no `api`"
        raise ConfigError([Problem("--source", 0, 0, f"{what}; with an `api` there is {known}")])
    if isinstance(found.api.key, Absent):
        raise ConfigError([Problem("--source", 0, 0, f"the key of the `api` of source {found.name} is not there")])
    return found.name, found.api


def spelling_of(settings: Environment) -> Callable[[str], Spelling]:
    """Return what knows how a source spells its bodies; the usual way where there is no configuration to read."""
    try:
        config = configuration_if_there(settings)
    except ConfigError:
        config = None
    known = {} if config is None else {name: each.spelling for name, each in config.sources.items()}
    return lambda name: known.get(name, USUAL)


def sources(settings: Environment) -> tuple[str, ...]:
    """Return the names of the sources, none if there is no configuration here: what is stored can be looked at."""
    configured = names(settings.config)
    return () if configured is None else tuple(configured.sources)


def pausable(settings: Environment) -> dict[PauseKind, Collection[str] | None]:
    """Return what can be paused; None where a file cannot be read, since a person must be able to pause then too."""
    configured = names(settings.config)
    found = routes(settings)
    return {
        PauseKind.ROUTE: None if found is None else [route.name for route in found],
        PauseKind.SOURCE: None if configured is None else configured.sources,
        PauseKind.AIRFLOW: None if configured is None else configured.airflows,
    }


def routes(settings: Environment) -> Collection[Route] | None:
    """Return the routes of the mapping here; None where it cannot be read."""
    try:
        return mapping(settings.mapping, names(settings.config)).routes
    except ConfigError:
        return None


def troubles(settings: Environment) -> list[Trouble]:
    """Return what is wrong with the mapping here; nothing if there is none."""
    try:
        if settings.mapping.exists():
            mapping(settings.mapping, names(settings.config))
    except ConfigError as error:
        return list(of_files(error.problems, ()))
    return []


def actor() -> str:
    """Return who asks, as the audit log names them; a container's user has only a number."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"cli:uid {os.getuid()}"


def remote(settings: Environment, url: str | None, token_file: Path | None) -> Remote | None:
    """Return the running bridge that `--url` or BRIDGE_URL names, None if neither does. Raises ConfigError."""
    if url is None and settings.url is None:
        if token_file is not None:
            raise ConfigError([Problem("--token-file", 0, 0, "is for a running bridge: give --url too")])
        return None
    option = "--url"
    try:
        address = str(settings.url) if url is None else plain_url(url)
        option = "--token-file"
        token = settings.admin_token if token_file is None else read_token(token_file)
    except ValueError as error:
        raise ConfigError([Problem(option, 0, 0, str(error))]) from None
    bridge = Remote(address, token)
    if bridge.shows_token:
        say("warning: the token goes over the network unencrypted; use https://")
    return bridge


@contextmanager
def store(settings: Environment) -> Iterator[Inbox]:
    """Open the store, beside a running service or without one."""
    inbox = Inbox(settings.database_url, password=settings.database_password, ring=settings.ring())
    try:
        yield inbox
    finally:
        inbox.close()
