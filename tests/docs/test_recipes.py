"""The recipes of CONTRIBUTING.md name what is easily forgotten: files that a test compares with the code."""

import re

import pytest

from deploy.demo.airflow import REPOSITORY

_TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text().partition("## Recipes")[2].partition("\n## ")[0]
_PARTS = re.split(r"(?m)^\*\*(.+?)\*\*", _TEXT)
RECIPES = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ("A setting", ["deploy/chart/values.yaml", "deploy/chart/values.schema.json"]),
        ("A key of a route", ["tests/rules/mapping/test_defaults.py", "docs/mapping.md"]),
        ("An API path", ["bridge/web/admin.py", "bridge/web/described.py", "tests/web/test_roles.py"]),
        ("An API path", ["bridge/web/faces.py", "bridge/wiring/faces.py", "pyproject.toml"]),
        ("A page", ["tests/web/test_roles.py", "tests/web/browser/support.py", "pyproject.toml"]),
        ("A command", ["docs/reference/cli.md", "deploy/image/try.sh"]),
    ],
)
def test_a_recipe_names_every_file(recipe: str, names: list[str]) -> None:
    """Whoever follows it has nothing to find out from a test that fails; the files are there."""
    assert [name for name in names if name not in RECIPES[recipe] or not (REPOSITORY / name).is_file()] == []
