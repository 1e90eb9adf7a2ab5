"""The distribution is what Airflow expects of a provider, and lives beside the vendor's."""

import ast
import zipfile
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from tests.support.airflow_python import AirflowPython

pytestmark = pytest.mark.xdist_group("provider")

PACKAGE = REPOSITORY / "deploy" / "airflow" / "planasonix_provider"
MODULES = sorted(PACKAGE.rglob("*.py"))
# The vendor's distribution, planasonix-airflow 1.0.4: pip overwrites a file of the same name without a word.
VENDORS = {
    "planasonix_provider/__init__.py",
    "planasonix_provider/example_dags/__init__.py",
    "planasonix_provider/example_dags/example_planasonix_sync.py",
    "planasonix_provider/hooks/__init__.py",
    "planasonix_provider/hooks/planasonix.py",
    "planasonix_provider/operators/__init__.py",
    "planasonix_provider/operators/sync.py",
    "planasonix_provider/sensors/__init__.py",
    "planasonix_provider/sensors/sync.py",
    "planasonix_provider/triggers/__init__.py",
}


def test_it_shares_no_file_with_the_vendors_distribution(wheel: Path) -> None:
    """Installed in any order, neither changes the other; nor does uninstalling."""
    assert not VENDORS & set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_every_module(wheel: Path) -> None:
    """Packages without `__init__.py` are easily forgotten."""
    expected = {str(path.relative_to(PACKAGE.parent)) for path in MODULES}
    assert expected == {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}


def test_airflow_lists_the_provider(airflow_python: AirflowPython) -> None:
    """`airflow providers list` has it, under the name of its distribution."""
    found = airflow_python.python("""
        from airflow.providers_manager import ProvidersManager

        provider = ProvidersManager().providers["airflow-provider-planasonix-bridge"]
        result = [provider.version, provider.data["name"]]
    """)
    assert found == ["0.1.0", "Planasonix (bridge)"]


def test_every_module_can_be_imported(airflow_python: AirflowPython) -> None:
    """In Airflow 3.3 and in 2.11."""
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in MODULES]
    airflow_python.python("import importlib\nfor name in names: importlib.import_module(name)", names=names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small_and_say_what_they_are(path: Path) -> None:
    """At most 300 lines a module and 40 lines a function; a docstring on each that others use."""
    tree = ast.parse(path.read_text())
    assert len(path.read_text().splitlines()) <= 300
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} in line {node.lineno}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, f"{node.name} in line {node.lineno}"
