"""Write the tables of docs/ from the code: `make docs`.

What stands between `<!-- generated: NAME -->` and `<!-- end -->` in a page is made here; the rest is written by people.
tests/docs/test_generated.py fails when a page is not what this script writes.
"""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command

from bridge.cli import app
from bridge.edges.inbox import browsing
from bridge.edges.metrics import Metrics, labels
from bridge.edges.settings import list_settings
from bridge.rules.event import statuses
from bridge.web.admin import admin_app
from bridge.web.faces import Faces
from bridge.web.sign_in import Access
from bridge.words.reasons import Reason
from scripts.webhook_fields import spelled

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FLOORS = ("cli", "wiring", "web", "flows", "chores", "edges", "rules", "words")
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(words: Iterable[str]) -> str:
    """Return words as code, with commas between."""
    return ", ".join(f"`{word}`" for word in words)


def _settings() -> str:
    rows = [
        (f"`{item.name}`", f"`{item.default}`" if item.default else "none", item.description)
        for item in list_settings()
    ]
    return table(("setting", "default", "meaning"), rows)


def _reasons() -> str:
    return table(("reason", "why", "next step"), [(f"`{reason}`", reason.why, reason.next_step) for reason in Reason])


def _metrics() -> str:
    metrics = Metrics(keys_by_source={"planasonix": ["current"]}, airflows=["default"])
    metrics.expect_key_set("planasonix", "current")
    metrics.notifying.expect(["CHAT_URL"])
    metrics.observe_mapping(digest="x", routes=["orders"], loaded_at=datetime.now(UTC))
    rows = []
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        if not family.name.startswith("bridge_"):
            continue
        names = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
        meaning = family.documentation.removesuffix(" Of the store.")
        kind = family.type + (", store" if meaning != family.documentation else "")
        name = family.name + ("_total" if family.type == "counter" else "")
        rows.append((f"`{name}`", kind, code(names) or "-", meaning))
    return table(("metric", "type", "labels", "meaning"), rows)


def _labels() -> str:
    rows = [
        ("`bridge_deliveries_total{outcome}`", labels.ACCEPTED),
        ("`bridge_refusals_total{reason}`", ("unknown_source", *labels.DOOR_REASONS, *labels.LIMITS, *labels.BROKEN)),
        ("`bridge_sign_in_failures_total{reason}`", labels.SIGN_IN_FAILURES),
        ("`bridge_connections_ended_total{reason}`", labels.CONNECTION_ENDS),
        ("`bridge_routed_total{state}`", labels.ROUTED),
        ("`bridge_triggers_total{state}`", labels.TRIGGER_ENDS),
        ("`bridge_trigger_failures_total{reason}`", labels.FAILURES),
        ("`bridge_attempts_total{outcome}`", labels.ATTEMPTS),
        ("`bridge_held{reason}`", labels.HELD),
        ("`bridge_airflow_trouble{reason}`", labels.TROUBLES),
        ("`bridge_store_seconds{operation}`", labels.STORE_OPERATIONS),
        ("`bridge_jwks_refreshes_total{outcome}`", labels.FETCHES),
    ]
    return table(("label", "values"), [(name, code(map(str, words))) for name, words in rows])


def _loops() -> Iterator[tuple[str, Path]]:
    """Yield every background loop's name with the module that makes it."""
    for path in sorted((ROOT / "bridge").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Loop":
                yield ast.literal_eval(node.args[0]), path


def _parts() -> str:
    loops = dict(_loops())
    rows = [(f"`{name}`", "loop: " + summary(path)) for name, path in loops.items()]
    rows += [(f"`{part}`", "a step of receiving, routing or firing") for part in labels.PARTS if part not in loops]
    return table(("part", "what it is"), rows)


def _commands() -> str:
    return "\n\n".join(_command("planasonix-bridge", get_command(app)))


def _command(name: str, command: object) -> Iterator[str]:
    """Yield the parts of a command's own page, or of those below it."""
    below = getattr(command, "commands", None)
    if below is not None:
        for word, item in below.items():
            yield from _command(f"{name} {word}", item)
        return
    usage, rows = [name], []
    for parameter in command.params:  # type: ignore[attr-defined]
        if parameter.param_type_name == "argument":
            word = _word(parameter) + ("..." if parameter.nargs == -1 else "")
            usage.append(word if parameter.required else f"[{word}]")
            rows.append((f"`{word}`", parameter.help or ""))
        elif parameter.name != "help":
            word = parameter.opts[0] + ("" if parameter.is_flag else f" {_word(parameter)}")
            usage += [word] if parameter.required else []
            rows.append((f"`{word}`", parameter.help or ""))
    yield f"### `{' '.join(usage)}`"
    yield " ".join((command.help or "").split())  # type: ignore[attr-defined]
    if rows:
        yield table(("argument or option", "meaning"), rows)


def _word(parameter: Any) -> str:
    """Return what stands for a value in the command's help, without the brackets and dots of what may be left out."""
    return str(parameter.metavar or parameter.name.upper()).strip("[.]")


def offered() -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and endpoint of everything that the admin application offers."""
    faces = Faces(**{part.name: part.type.__new__(part.type) for part in fields(Faces)})
    nobody = Access(dict, False, lambda *_: "", lambda *_: None, lambda *_: None)
    application = admin_app(faces, access=nobody)
    for route in application.routes:
        for item in getattr(route, "routes", None) or [route]:
            for method in sorted(item.methods - {"HEAD"}):
                yield method, item.path_format if item is route else route.path + item.path_format, item.endpoint


def _api() -> str:
    return table(
        ("request", "role", "what it does"), (_offer(*item) for item in offered() if _is_for_programs(item[1]))
    )


def _pages() -> str:
    rows = (_offer(*item) for item in offered() if not _is_for_programs(item[1]))
    return table(("request", "role", "what it does"), rows)


def _is_for_programs(path: str) -> bool:
    return path.startswith(("/api/", "/metrics"))


def _offer(method: str, path: str, endpoint: Any) -> tuple[str, str, str]:
    what = " ".join((endpoint.__doc__ or "").split("\n\n")[0].split())
    return f"`{method} {path}`", "open" if endpoint.role is None else f"`{endpoint.role}`", what


def _filters() -> str:
    rows = [
        ("`/deliveries`", code(sorted({*browsing.DELIVERY_FILTERS, "limit"}))),
        ("`/triggers`", code(sorted({*browsing.TRIGGER_FILTERS, "limit"}))),
    ]
    return table(("path", "filters"), rows)


def _fields() -> str:
    return table(("field", "read from", "where", "if it cannot be read"), spelled())


def _statuses() -> str:
    meanings: dict[str, list[str]] = {}
    for word in sorted(statuses.WORDS):
        meanings.setdefault(str(getattr(statuses.meaning(word), "value", "")), []).append(word)
    return table(("status word", "means"), [(code(words), f"`{meaning}`") for meaning, words in meanings.items()])


def summary(path: Path) -> str:
    """Return the first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split())


def modules(floor: str) -> list[str]:
    """Return what a floor's folder holds: modules and packages, in the order of their names."""
    found = (ROOT / "bridge" / floor).iterdir()
    return sorted(item.stem for item in found if item.suffix == ".py" or (item / "__init__.py").exists())


def _floors() -> str:
    parts = []
    for floor in FLOORS:
        folder = ROOT / "bridge" / floor
        rows = []
        for name in modules(floor):
            if name != "__init__":
                package = folder / name / "__init__.py"
                is_package = package.exists()
                text = summary(package if is_package else folder / f"{name}.py")
                rows.append((f"`{name}/`" if is_package else f"`{name}`", text))
        own = summary(folder / "__init__.py")
        parts += [f"### `bridge/{floor}/`", own, *([table(("module", "what it is for"), rows)] if rows else [])]
    return "\n\n".join(parts)


TABLES: dict[str, Callable[[], str]] = {
    "settings": _settings,
    "reasons": _reasons,
    "metrics": _metrics,
    "labels": _labels,
    "parts": _parts,
    "commands": _commands,
    "api": _api,
    "pages": _pages,
    "filters": _filters,
    "fields": _fields,
    "statuses": _statuses,
    "floors": _floors,
}


def written(text: str) -> str:
    """Return a page with its generated parts made anew; KeyError for a name that nothing makes."""
    return _PART.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)


def main() -> int:
    """Write every page of docs/ that is not as it should be, and name it."""
    for path in sorted(DOCS.rglob("*.md")):
        before = path.read_text()
        after = written(before)
        if after != before:
            path.write_text(after)
            print(f"written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
