"""What Airflow asks every provider for: its name and what it brings."""

from importlib.metadata import version
from typing import Any

from planasonix_provider import connection_form

DISTRIBUTION = "airflow-provider-planasonix-bridge"
_HOOK = "planasonix_provider.hooks.api.PlanasonixHook"


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
        "extra-links": ["planasonix_provider.links.PlanasonixRunLink"],
    }
