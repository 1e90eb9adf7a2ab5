"""The scripts of deploy/auth: docs and Dockerfile name what each needs, and how it gets beside the bridge."""

import ast
import re
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from deploy.demo.airflow import REPOSITORY
from tests.docs.pages import blocks, page

AUTH = REPOSITORY / "deploy" / "auth"
SCRIPTS = sorted(AUTH.glob("*.py"))
_PACKAGES = {"google": "google-auth"}  # by the name that is imported, where they differ
_HEADING = "## Sign in at MWAA, Composer or Entra\n"


def foreign(script: Path) -> set[str]:
    """Return the packages that a script imports and Python does not bring."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return {_PACKAGES.get(name, name) for name in found - sys.stdlib_module_names}


def row_of(script: Path) -> str:
    """Return the line of the table that a script has."""
    (row,) = re.findall(rf"(?m)^\|.*deploy/auth/{script.name}\).*$", page("configuration.md"))
    return row


def section(name: str) -> str:
    """Return what a page says of signing in."""
    return page(name).partition(_HEADING)[2].partition("\n## ")[0]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_script_imports_is_named(script: Path) -> None:
    """In its row of the table, in its own first lines, and in the Dockerfile."""
    row = row_of(script)
    docstring = ast.get_docstring(ast.parse(script.read_text())) or ""
    for name in foreign(script):
        assert f"`{name}`" in row
        assert name in docstring
        assert name in (AUTH / "Dockerfile").read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_options_of_a_script_are_named(script: Path) -> None:
    """Where people look what to write: in its row of the table, and in its own first lines."""
    text = script.read_text()
    docstring = ast.get_docstring(ast.parse(text)) or ""
    for option in re.findall(r'add_argument\("(--[\w-]+)"', text):
        assert option in row_of(script)
        assert option in docstring


def test_the_image_of_the_scripts_has_all_of_them() -> None:
    """Where `exec` looks for them, and the Python that runs them."""
    text = (AUTH / "Dockerfile").read_text()
    copied = re.findall(r"(?m)^COPY (.*\.py) (\S+/)$", text)
    assert copied == [(" ".join(script.name for script in SCRIPTS), "/etc/planasonix-bridge/auth/")]
    for script in SCRIPTS:
        ran = re.search(r"exec: \[(\S+), (/\S+?)[],]", script.read_text())
        assert ran
        assert ran[1] == ("/opt/auth/bin/python" if foreign(script) else "python3")
        assert ran[2] == f"{copied[0][1]}{script.name}"


def test_kubernetes_and_compose_have_a_way_for_a_script() -> None:
    """With values that the chart has, and with the names of the service in compose.yaml; nothing of it gets lost."""
    yaml = YAML(typ="safe")
    (values,) = blocks(section("kubernetes.md"), "yaml")
    assert yaml.load(values).keys() <= yaml.load(REPOSITORY / "deploy" / "chart" / "values.yaml").keys()
    (service,) = blocks(section("compose.md"), "yaml")
    more, shipped = yaml.load(service), yaml.load(REPOSITORY / "deploy" / "compose" / "compose.yaml")
    for key in ("volumes", "secrets"):
        assert set(more["services"]["bridge"][key]) > set(shipped["services"]["bridge"][key])
    assert set(more["secrets"]) <= set(more["services"]["bridge"]["secrets"])
    arguments = set(re.findall(r"--build-arg (\w+)=", section("kubernetes.md")))
    assert arguments == set(re.findall(r"(?m)^ARG (\w+)$", (AUTH / "Dockerfile").read_text()))
