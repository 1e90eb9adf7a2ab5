"""What editors show beside each key of a mapping: examples, and what holds where the key is absent."""

from collections.abc import Mapping
from typing import Any

EXAMPLES: Mapping[str, list[Any]] = {
    "owner": ["data-platform"],
    "vars": [{"tz": "Europe/Berlin", "team": {"name": "data-platform", "channel": "#loads"}}],
    "defaults": [{"environment": "production", "max_age": "12h", "conf": {"team": "data-platform"}}],
    "routes": [[{"pipeline": "pl_8f2a9c1d4e", "dag": "refresh_sales_marts"}]],
    "name": ["inventory"],
    "source": ["planasonix"],
    "event": ["job.*", ["backfill.completed", "pipeline.run.*"]],
    "pipeline": ["pl_8f2a9c1d4e", ["pl_inventory_hourly", "pl_inv_*"]],
    "pipeline_name": ["crm_*"],
    "connection": ["conn_sf_prod"],
    "environment": ["production"],
    "on": ["succeeded", ["failed", "cancelled"]],
    "when": ["event.rows_loaded > 0"],
    "dag": ["refresh_sales_marts", ["refresh_orders", "publish_orders"]],
    "airflow": ["default"],
    "conf": [{"rows": "{{ event.rows_loaded }}", "day": "{{ event.finished_at | date('Europe/Berlin') }}"}],
    "note": ["{{ event.rows_loaded }} rows by {{ event.job_id }}"],
    "dag_run_id": ["orders-{{ event.parameters.business_date }}"],
    "enabled": [False],
    "follow": [False],
    "max_age": ["12h", 3600],
    "deadline": ["2h"],
    "if_paused": ["hold"],
    "release": ["latest"],
    "hold_at_most": ["14d"],
    "conf_schema": ["dag"],
    "max_attempts": [50],
    "concurrency": [1],
    "max_per_hour": [60],
}
DEFAULTS: Mapping[str, Any] = {
    "on": "succeeded",
    "airflow": "default",
    "enabled": True,
    "follow": True,
    "max_age": "24h",
    "if_paused": "trigger",
    "release": "all",
    "conf_schema": "any",
    "hold_at_most": "14d",
}

# What people write for a key of a route, by what they mean.
MEANT: Mapping[str, str] = {
    "dag_id": "dag",
    "dag_ids": "dag",
    "dags": "dag",
    "status": "on",
    "statuses": "on",
    "pipeline_id": "pipeline",
    "pipelines": "pipeline",
    "connection_id": "connection",
    "event_type": "event",
    "type": "event",
    "env": "environment",
    "condition": "when",
    "if": "when",
    "run_id": "dag_run_id",
    "config": "conf",
    "params": "conf",
    "parameters": "conf",
    "retries": "max_attempts",
    "description": "note",
    "timeout": "max_age",
    "expires": "deadline",
    "ttl": "deadline",
    "paused": "if_paused",
    "on_paused": "if_paused",
    "when_paused": "if_paused",
    "max_hold": "hold_at_most",
    "hold": "hold_at_most",
}


def with_examples(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose keys have their examples and defaults."""
    definitions = {name: _with(form) for name, form in schema["$defs"].items()}
    return _with(schema) | {"$defs": definitions}


def _with(form: dict[str, Any]) -> dict[str, Any]:
    properties = {key: value | _beside(key) for key, value in form["properties"].items()}
    return form | {"properties": properties}


def _beside(key: str) -> dict[str, Any]:
    found: dict[str, Any] = {"examples": EXAMPLES[key]} if key in EXAMPLES else {}
    return found | ({"default": DEFAULTS[key]} if key in DEFAULTS else {})
