"""What the person who runs the service sets: `BRIDGE_*` variables and `config/bridge.yaml`.

An edge: it reads secret files. Everything is checked at start, all mistakes at once, and no message,
repr or error ever holds a secret.
"""

from bridge.edges.settings.config import (
    Config,
    Names,
    read_config,
    read_config_so_far,
    read_config_to_check,
    read_config_without_secrets,
    read_names,
)
from bridge.edges.settings.describing import json_schema
from bridge.edges.settings.environment import (
    Environment,
    read_environment,
    read_token,
    setting_files,
)
from bridge.edges.settings.fields import Absent, plain_url
from bridge.edges.settings.listing import Setting, list_settings

__all__ = [
    "Absent",
    "Config",
    "Environment",
    "Names",
    "Setting",
    "json_schema",
    "list_settings",
    "plain_url",
    "read_config",
    "read_config_so_far",
    "read_config_to_check",
    "read_config_without_secrets",
    "read_environment",
    "read_names",
    "read_token",
    "setting_files",
]
