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
    is_secret: bool = False


FIELDS = (
    Field("organization_id", "Organization", "Sent as X-Organization-Id; only if your key is for several.", "org_..."),
    Field("environment", "Environment", "Used when a task names none.", "production"),
    Field("agent_pool", "Agent pool", "Where runs are executed, if you have agents of your own.", ""),
    Field("bridge_source", "Bridge source", "This Planasonix's name in bridge.yaml.", ""),
    Field(
        "bridge_url", "Bridge URL", "The bridge's admin listener, for deferrable tasks.", "https://bridge.example.com"
    ),
    Field("bridge_token", "Bridge token", "BRIDGE_VIEWER_TOKEN of the bridge.", "", is_secret=True),
    Field("app_url", "Web address", "Where people open Planasonix; for links.", DEFAULT_APP_URL),
)
HIDDEN = ["schema", "port", "extra"]
LABELS = {"host": "API address", "login": "Service account", "password": "API key"}
PLACEHOLDERS = {"host": DEFAULT_HOST, "login": "a name for people; it is not sent"}


def connection_fields() -> dict[str, Any]:
    """Return `conn-fields` for Airflow 3.2 and newer."""
    return {
        item.name: {"label": item.label, "description": item.description, "schema": _schema(item)} for item in FIELDS
    }


def field_behaviour() -> dict[str, Any]:
    """Return `ui-field-behaviour` for Airflow 3.2 and newer."""
    return {"hidden-fields": HIDDEN, "relabeling": LABELS, "placeholders": _placeholders()}


def widget_behaviour() -> dict[str, Any]:
    """Return the same for older ones."""
    return {"hidden_fields": HIDDEN, "relabeling": LABELS, "placeholders": _placeholders()}


def widgets() -> dict[str, Any]:
    """Return the fields as widgets, for older ones. Raises ImportError without a web server's packages."""
    from flask_appbuilder.fieldwidgets import (  # noqa: PLC0415 - a worker has none
        BS3PasswordFieldWidget,
        BS3TextFieldWidget,
    )
    from wtforms import PasswordField, StringField  # noqa: PLC0415

    kinds = {True: (PasswordField, BS3PasswordFieldWidget), False: (StringField, BS3TextFieldWidget)}
    made = [(item, *kinds[item.is_secret]) for item in FIELDS]
    return {item.name: kind(item.label, description=item.description, widget=widget()) for item, kind, widget in made}


def _schema(item: Field) -> dict[str, Any]:
    return {"type": ["string", "null"]} | ({"format": "password"} if item.is_secret else {})


def _placeholders() -> dict[str, str]:
    return PLACEHOLDERS | {item.name: item.placeholder for item in FIELDS if item.placeholder}
