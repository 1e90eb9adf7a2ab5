"""What Airflow asks every provider for: its name and what it brings."""

from importlib.metadata import version
from typing import Any

from planasonix_provider import connection_form

DISTRIBUTION = "airflow-provider-planasonix-bridge"
_HOOK = "planasonix_provider.hooks.api.PlanasonixHook"
_SECTION = "planasonix_bridge"
_OPTIONS = {
    "url": "The bridge's admin listener, as Airflow's scheduler reaches it. Empty: no end of a DAG run is reported.",
    "outcomes_token": "The bridge's BRIDGE_OUTCOMES_TOKEN, which opens nothing else.",
    "airflow": "This Airflow's name in bridge.yaml; needed if there are several.",
    "parked": "True: tasks that run a pipeline are parked until the bridge wakes them, unless they say otherwise.",
    "tab_url": "The page that the tab of a DAG run and of a task shows; {DAG_ID} and {RUN_ID} are filled in.",
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description in Airflow's format; `package-name` must be the distribution's name."""
    return {
        "package-name": DISTRIBUTION,
        "name": "Planasonix (bridge)",
        "description": "Runs Planasonix pipelines and waits for them.",
        "versions": [version(DISTRIBUTION)],
        "connection-types": [
            {
                "connection-type": connection_form.CONNECTION_TYPE,
                "hook-class-name": _HOOK,
                "hook-name": "Planasonix",
                "conn-fields": connection_form.connection_fields(),
                "ui-field-behaviour": connection_form.field_behaviour(),
            }
        ],
        "config": {_SECTION: {"description": "How Airflow finds the Planasonix bridge.", "options": _options()}},
        "extra-links": ["planasonix_provider.links.PlanasonixRunLink"],
    }


def _options() -> dict[str, Any]:
    return {
        name: {
            "description": description,
            "version_added": "0.1.0",
            "type": "string",
            "example": None,
            "default": None,
            "sensitive": name == "outcomes_token",
        }
        for name, description in _OPTIONS.items()
    }
