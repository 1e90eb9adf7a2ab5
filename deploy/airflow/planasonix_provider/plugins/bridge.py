"""The bridge's plugin for Airflow: a listener that reports ends, and a tab. Both are off unless configured.

Its settings are the section `planasonix_bridge` of airflow.cfg, or variables like AIRFLOW__PLANASONIX_BRIDGE__URL.
"""

import logging
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin, conf

from planasonix_provider.reporting import RunEnds

SECTION = "planasonix_bridge"
_PLACES = ("dag_run", "task_instance")
_log = logging.getLogger(__name__)


def settings() -> dict[str, str]:
    """Return what is configured; empty texts where nothing is."""
    names = ("url", "outcomes_token", "airflow", "tab_url")
    return {name: conf.get(SECTION, name, fallback="") or "" for name in names}


def listeners(configured: dict[str, str]) -> list[Any]:
    """Return the listener, if there is an address to report to."""
    url, token = configured["url"], configured["outcomes_token"]
    if not url:
        return []
    if not token or not url.startswith(("http://", "https://")):
        _log.error("[%s] url must be http:// or https://, and needs outcomes_token: nothing is reported", SECTION)
        return []
    return [RunEnds(url=url, token=token, airflow=configured["airflow"] or None)]


def tabs(configured: dict[str, str]) -> list[dict[str, str]]:
    """Return a tab for DAG runs and one for tasks, if there is a page; Airflow fills in {DAG_ID} and {RUN_ID}."""
    href = configured["tab_url"]
    if not href.startswith(("http://", "https://")):
        return []
    name = "Planasonix bridge"  # Airflow shows a tab only if it has a route of its own
    return [{"name": name, "href": href, "destination": at, "url_route": f"planasonix-bridge-{at}"} for at in _PLACES]


class PlanasonixBridgePlugin(AirflowPlugin):  # type: ignore[misc, unused-ignore]
    """What Airflow loads by its entry point."""

    name = "planasonix_bridge"
    listeners = listeners(settings())
    external_views = tabs(settings())
