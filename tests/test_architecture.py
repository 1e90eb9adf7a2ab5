"""The house with floors holds: imports go down only, each library has one importer, nothing grows too long."""

import ast
import importlib.metadata
import logging
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
BRIDGE = ROOT / "bridge"
MODULES = sorted(path for path in BRIDGE.rglob("*.py"))
MOST_LINES = 300
MOST_FUNCTION_LINES = 40

# The one place that may import each outside library: a module, or a package with all that is below it. Three for
# cryptography, which has three uses: signatures of what comes in, encryption of what is stored, a certificate. Three
# for httpx, since an API, a document and a sign-in have nothing in common but the protocol. Two for Jinja2: templates
# of the mapping, and of pages.
IMPORTERS: dict[str, str | tuple[str, ...]] = {
    "airflow_client": "bridge.edges.airflow",
    "alembic": "bridge.edges.inbox",
    "apprise": "bridge.edges.notifier",
    "authlib": "bridge.edges.openid",
    "cryptography": ("bridge.rules.signature", "bridge.rules.sealing", "bridge.edges.settings.tls"),
    "httptools": "bridge.web.server",
    "httpx": ("bridge.edges.planasonix", "bridge.edges.jwks", "bridge.edges.openid"),
    "joserfc": "bridge.edges.openid",
    "jinja2": ("bridge.rules.rendering", "bridge.web.pages.drawing"),
    "jsonschema": "bridge.rules.conforming",
    "jwt": "bridge.rules.signature",
    "msgspec": "bridge.rules.event",
    "prometheus_client": "bridge.edges.metrics",
    "psycopg": "bridge.edges.inbox",
    "rich": "bridge.cli",
    "ruamel": "bridge.rules.yamltree",
    "sqlalchemy": "bridge.edges.inbox",
    "starlette": "bridge.web",
    "typer": "bridge.cli",
    "urllib3": "bridge.edges.airflow",
    "uvicorn": "bridge.web.server",
    "uvloop": "bridge.wiring",
}
# May be used anywhere above the rules: they reach nothing outside.
EVERYWHERE = {"pydantic", "structlog"}
# What a variable, a parameter, a function or a class is not called.
NO_NAMES = {"came", "left", "made", "most", "one", "told", "trouble", "whose"}
# Named on several floors, and in their tests.
STILL_NAMED = {"Trouble"}
# Rules and words do no I/O and read no clock, environment or randomness.
PURE = ("rules", "words")
IMPURE = {
    "asyncio",
    "http",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib",
    "uuid",
}


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text(), filename=str(path))


def name(path: Path) -> str:
    """Return a module's dotted name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Return the top-level names that a module imports, wherever in it."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (_library(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield _library(node.module)


def _library(module: str) -> str:
    top = module.partition(".")[0]
    return "pydantic" if top == "pydantic_core" else top  # one library in two packages


def test_imports_go_down_only() -> None:
    """import-linter's contracts in pyproject.toml hold: the floors, and one importer per library."""
    loggers = [item for item in logging.root.manager.loggerDict.values() if isinstance(item, logging.Logger)]
    enabled = [item for item in loggers if not item.disabled]
    try:
        assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == EXIT_STATUS_SUCCESS
    finally:
        for item in enabled:  # it configures logging, which disables every logger that there was
            item.disabled = False


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_library_has_one_importer(path: Path) -> None:
    """A library that is not listed here has no place in the service yet."""
    outside = {found for found in imports(path) if found not in sys.stdlib_module_names and found != "bridge"}
    for library in outside - EVERYWHERE:
        listed = IMPORTERS.get(library)
        assert listed is not None, f"{library} is imported and not listed in IMPORTERS"
        importers = (listed,) if isinstance(listed, str) else listed
        assert any(f"{name(path)}.".startswith(f"{item}.") for item in importers), f"only {listed} imports {library}"


def test_every_listed_library_is_still_imported() -> None:
    """The list does not outlive its reasons."""
    used = {found for path in MODULES for found in imports(path)}
    assert set(IMPORTERS) | EVERYWHERE <= used


def test_every_library_is_a_dependency() -> None:
    """What is imported is installed because the project says so, and not by luck."""
    text = " ".join(importlib.metadata.requires("planasonix-bridge") or ())
    declared = {re.sub("[-_.]+", "-", word).lower() for word in re.findall(r"[A-Za-z][A-Za-z0-9_.-]+", text)}
    distributions = importlib.metadata.packages_distributions()
    for library in set(IMPORTERS) | EVERYWHERE:
        names = {re.sub("[-_.]+", "-", found).lower() for found in distributions[library]}
        assert names & declared, f"{library} is not among the dependencies"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_and_functions_stay_small(path: Path) -> None:
    """At most 300 lines a module and 40 lines a function, docstring included."""
    assert len(path.read_text().splitlines()) <= MOST_LINES
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MOST_FUNCTION_LINES, f"{node.name} in line {node.lineno} has {length} lines"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_rules_and_words_are_pure(path: Path) -> None:
    """No I/O, clock, environment or randomness below the edges, nor `now()` of a datetime."""
    if path.relative_to(BRIDGE).parts[0] in PURE:
        assert not IMPURE & set(imports(path))
        called = {node.func.attr for node in ast.walk(parsed(path)) if _is_call_of_attribute(node)}
        assert not called & {"now", "utcnow", "today", "read_text", "read_bytes"}


def _is_call_of_attribute(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)


def _given_names(path: Path) -> Iterator[tuple[str, int]]:
    """Return each name that a module assigns to, or that a parameter, a function or a class has, with its line."""
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Name(id=given, ctx=ast.Store()) | ast.Attribute(attr=given, ctx=ast.Store()):
                yield given, node.lineno
            case ast.FunctionDef(name=given) | ast.AsyncFunctionDef(name=given) | ast.ClassDef(name=given):
                yield given, node.lineno
            case ast.arg(arg=given) | ast.MatchAs(name=str(given)) | ast.MatchStar(name=str(given)):
                yield given, node.lineno


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_name_says_what_a_thing_is(path: Path) -> None:
    """A plan is no `made`, a limit no `most`: a name is a noun that a stranger understands."""
    wrong = [(given, line) for given, line in _given_names(path) if given.strip("_").lower() in NO_NAMES]
    assert [(given, line) for given, line in wrong if given not in STILL_NAMED] == []


def test_no_private_function_is_dead() -> None:
    """What begins with `_` at the top of a module is named by it; a decorator may be what uses it."""
    dead = []
    for path in MODULES:
        own = [node for node in parsed(path).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        private = {node.name for node in own if node.name.startswith("_") and not node.decorator_list}
        if private - {"__getattr__", "__dir__"}:
            named = {node.id for node in ast.walk(parsed(path)) if isinstance(node, ast.Name)}
            dead += [f"{name(path)}.{item}" for item in private - named - {"__getattr__", "__dir__"}]
    assert dead == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    """Its first line is a docstring, unless it is empty."""
    assert ast.get_docstring(parsed(path)) or not path.read_text().strip()


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_signature_makes_a_verified_delivery(path: Path) -> None:
    """Unverified bytes cannot be passed on as verified ones by anybody else."""
    if name(path).startswith("bridge.rules.signature"):
        return
    made = [
        node
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Verified"
    ]
    assert made == []


def _calls(path: Path, *names: str) -> list[int]:
    """Return the lines where a method or function of one of these names is called."""
    return [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr in names)
            or (isinstance(node.func, ast.Name) and node.func.id in names)
        )
    ]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_form_is_parsed(path: Path) -> None:
    """A body that is taken for something its type is not is a way in; nor is the parser for forms installed.

    Pages have forms of their own: one module reads them, and takes no other type for one.
    """
    if name(path) != "bridge.web.pages.asking":
        assert not _calls(path, "form", "parse_qs", "parse_qsl", "FormParser", "MultiPartParser")
    assert "python-multipart" not in (ROOT / "requirements" / "runtime.txt").read_text()


@pytest.mark.parametrize("path", [item for item in MODULES if item.parent.name in ("web", "pages")], ids=name)
def test_nothing_is_decided_by_a_url(path: Path) -> None:
    """Starlette rebuilds `request.url` from the Host header: whoever sends it writes it (CVE-2026-48710)."""
    read = [node.attr for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)]
    assert not {"url", "base_url", "url_for"} & set(read)


@pytest.mark.parametrize(
    "path", [*(BRIDGE / "rules" / "signature").rglob("*.py"), BRIDGE / "web" / "admin.py"], ids=name
)
def test_secrets_are_compared_in_constant_time(path: Path) -> None:
    """What a stranger sent is never compared with what it should be by `==`."""
    secret = re.compile(r"(given|sent|expected|digest|signature|token|secret)s?$").fullmatch
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = [node.left, *node.comparators]
            assert not any(isinstance(side, ast.Name) and secret(side.id) for side in sides), node.lineno


def test_the_audit_log_is_only_appended_to() -> None:
    """Nothing in the bridge changes or removes a line of it."""
    text = " ".join(path.read_text() for path in MODULES)
    assert re.search(r"INSERT INTO audit", text)
    assert not re.search(r"(UPDATE|DELETE FROM) audit", text)


def test_no_test_waits_only_as_long_as_a_library_thinks() -> None:
    """httpx gives up after five seconds unless it is told otherwise, and a busy machine is slower than that."""
    words = {"get", "post", "put", "patch", "delete", "head", "options", "request", "stream", "Client", "AsyncClient"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr in words) == ("httpx", True)
        and not {keyword.arg for keyword in node.keywords} & {"timeout", None}
    ]
    assert found == []
