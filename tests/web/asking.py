"""Verbs run in this process, to be cheap: against a running bridge, or the store beside it."""

from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner

from bridge.cli import app
from tests.support.service import TOKEN, BridgeProcess

Ask = Callable[..., Any]
Run = Callable[..., tuple[int, str]]
PLACES = ("--url", "store")
_SECRETS = ("PLANASONIX_WEBHOOK_SECRET", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD")


def runner(bridge: BridgeProcess, place: str, token: str = TOKEN) -> Run:
    """Return what runs a verb at one of the places; it returns the exit code and what was printed."""
    variables = {
        "BRIDGE_URL": f"http://127.0.0.1:{bridge.admin_port}" if place == "--url" else None,
        "BRIDGE_ADMIN_TOKEN": token,
        "BRIDGE_DATABASE_URL": f"sqlite:///{bridge.folder / 'bridge.db'}",
        "BRIDGE_CONFIG": str(bridge.folder / "bridge.yaml"),
        "BRIDGE_MAPPING": str(bridge.folder / "mapping.yaml"),
        "TZ": "UTC",
    } | {name: bridge.environment[name] for name in _SECRETS}

    def run(*words: str) -> tuple[int, str]:
        ended = CliRunner().invoke(app, words, env=variables)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        return ended.exit_code, ended.stdout

    return run
