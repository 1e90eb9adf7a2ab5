"""What each is right and yet cannot work together: settings and the configuration. `serve` and `check` refuse it."""

import contextlib
import ipaddress
from collections.abc import Iterator

from bridge.edges import notifier, openid
from bridge.edges.airflow import wire
from bridge.edges.settings import Config, Environment
from bridge.words.errors import ConfigError, Problem
from bridge.words.roles import SIGN_INS


def check(environment: Environment, config: Config) -> None:
    """Refuse to start with what cannot work together; raises ConfigError with all of it."""
    if problems := [*misfits(environment, config), *_of_admin(environment, config)]:
        raise ConfigError(problems)


def misfits(environment: Environment, config: Config) -> list[Problem]:
    """Return what cannot work together, whichever secrets are there."""
    found = [*_of_waits(environment, config), *_of_openid(environment, config)]
    if config.notify and not notifier.is_installed():
        found.append("notify: needs apprise: pip install 'planasonix-bridge[notify]'")
    return [Problem(str(environment.config), 0, 0, what) for what in found]


def _of_openid(environment: Environment, config: Config) -> Iterator[str]:
    """The provider sends people back to an address that has to be known beforehand."""
    if config.openid is not None and not openid.is_installed():
        yield "sign_in: openid needs Authlib: pip install 'planasonix-bridge[openid]'"
    elif config.openid is not None and environment.public_admin_url is None:
        yield "sign_in: openid needs BRIDGE_PUBLIC_ADMIN_URL: where the provider sends people back to"


def _of_waits(environment: Environment, config: Config) -> Iterator[str]:
    """A loop that waits for an API must not look as if it stood still: then the bridge would be killed for it."""
    limit_seconds = environment.stall_seconds / 2
    for name, source in config.sources.items():
        if source.api is not None and source.api.timeout_seconds > limit_seconds:
            yield (
                f"sources.{name}.api.timeout_seconds is {source.api.timeout_seconds:g}, more than half of"
                f" BRIDGE_STALL_SECONDS ({environment.stall_seconds:g}): `/livez` would be red while an API hangs;"
                " set a shorter timeout, or raise BRIDGE_STALL_SECONDS"
            )
    for name, airflow in config.airflows.items():
        finds_version = airflow.version == "auto"
        seconds = wire.longest_seconds(airflow.auth.command_seconds, finds_version=finds_version)
        if airflow.auth.command and seconds >= environment.stall_seconds:
            yield (
                f"airflow.{name}.auth.timeout_seconds is {airflow.auth.command_seconds:g}: one question there may take"
                f" {seconds:g} s while the command or Airflow hangs, and BRIDGE_STALL_SECONDS is"
                f" {environment.stall_seconds:g}: `/livez` would be red meanwhile; set a shorter timeout"
                f"{', or its `version`,' * finds_version} or raise BRIDGE_STALL_SECONDS above {seconds:g}"
            )


def _of_admin(environment: Environment, config: Config) -> list[Problem]:
    """Where nobody can sign in, the admin listener serves loopback only."""
    if config.openid is not None:
        return []
    if not environment.tokens.keys().isdisjoint(SIGN_INS) or environment.admin_host == "localhost":
        return []
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(environment.admin_host).is_loopback:
            return []
    what = (
        "with neither a token of a person's role nor an OpenID provider only a loopback address is served, not"
        f" {environment.admin_host}; set BRIDGE_ADMIN_TOKEN"
    )
    return [Problem("BRIDGE_ADMIN_HOST", 0, 0, what)]
