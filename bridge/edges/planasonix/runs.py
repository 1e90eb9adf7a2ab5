"""A run of one tenant, over the Planasonix API: looked at, and cancelled."""

from typing import Any

from bridge.edges.http import path_segment
from bridge.edges.planasonix import PlanasonixClient


def look(client: PlanasonixClient, run_id: str) -> Any:
    """Return a run as the API shows it; raises LookupNotFound, LookupUnavailable."""
    return client.ask("GET", _path(run_id)).value


def cancel(client: PlanasonixClient, run_id: str) -> None:
    """Ask for a run to be cancelled; raises LookupNotFound, LookupUnavailable, also for a run that has ended."""
    client.ask("DELETE", _path(run_id))


def _path(run_id: str) -> str:
    return f"/api/runs/{path_segment(run_id)}"
