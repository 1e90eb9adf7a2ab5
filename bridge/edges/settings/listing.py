"""The process settings as rows of a table, for docs/reference/settings.md."""

from dataclasses import dataclass

from bridge.edges.settings.environment import Environment, variable_of


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table in docs/reference/settings.md."""

    name: str
    default: str
    description: str


def list_settings() -> tuple[Setting, ...]:
    """Return every process setting, in the order of that table."""
    return tuple(
        Setting(variable_of(name), _as_text(field.default), field.description or "")
        for name, field in Environment.model_fields.items()
    )


def _as_text(default: object) -> str:
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)
