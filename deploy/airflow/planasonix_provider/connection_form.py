"""The form of the connection type `planasonix`: one table, for every Airflow.

Airflow 3.2 and newer read it as `conn-fields` and `ui-field-behaviour` of the provider's description, without importing
the hook; older ones ask the hook for widgets.
"""

from dataclasses import dataclass
from typing import Any

CONNECTION_TYPE = "planasonix"
DEFAULT_CONNECTION = "planasonix_default"
DEFAULT_HOST = "https://api.planasonix.com"
DEFAULT_APP_URL = "https://app.planasonix.com"


@dataclass(frozen=True, slots=True)
class Field:
    """One field below `extra`."""

    name: str
    label: str
    description: str
    placeholder: str


FIELDS = (
    Field("organization_id", "Organization", "Sent as X-Organization-Id; only if your key is for several.", "org_..."),
    Field("environment", "Environment", "Used when a task names none.", "production"),
    Field("agent_pool", "Agent pool", "Where runs are executed, if you have agents of your own.", ""),
    Field("bridge_source", "Bridge source", "This Planasonix's name in bridge.yaml; for parked tasks.", ""),
    Field("app_url", "Web address", "Where people open Planasonix; for links.", DEFAULT_APP_URL),
)
HIDDEN = ["schema", "port", "extra"]
LABELS = {"host": "API address", "login": "Service account", "password": "API key"}
PLACEHOLDERS = {"host": DEFAULT_HOST, "login": "a name for people; it is not sent"}


def connection_fields() -> dict[str, Any]:
    """Return `conn-fields` for Airflow 3.2 and newer."""
    schema = {"type": ["string", "null"]}
    return {item.name: {"label": item.label, "description": item.description, "schema": schema} for item in FIELDS}


def field_behaviour() -> dict[str, Any]:
    """Return `ui-field-behaviour` for Airflow 3.2 and newer."""
    return {"hidden-fields": HIDDEN, "relabeling": LABELS, "placeholders": _placeholders()}


def widget_behaviour() -> dict[str, Any]:
    """Return the same for older ones."""
    return {"hidden_fields": HIDDEN, "relabeling": LABELS, "placeholders": _placeholders()}


def widgets() -> dict[str, Any]:
    """Return the fields as widgets, for older ones. Raises ImportError without a web server's packages."""
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget  # noqa: PLC0415 - a worker has none
    from wtforms import StringField  # noqa: PLC0415

    return {
        item.name: StringField(item.label, description=item.description, widget=BS3TextFieldWidget()) for item in FIELDS
    }


def _placeholders() -> dict[str, str]:
    return PLACEHOLDERS | {item.name: item.placeholder for item in FIELDS if item.placeholder}
