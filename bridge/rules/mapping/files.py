"""One file of the mapping, checked and compiled, and what only several files beside each other show. Pure.

A name belongs to one route of all files. Inside a file that is checked when it is read. Between files it is a question
of who has the name already, so `taken` is asked by whoever puts them together: the later file of a command's folder is
at fault, and in a running bridge the file that changed last (`choosing`).
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from bridge.rules.mapping.compiling import Compiler
from bridge.rules.mapping.doubts import Written
from bridge.rules.mapping.routes import Route
from bridge.rules.mapping.schema import MappingForm, readable_part
from bridge.rules.yamltree import Place, config_error, parse, validate
from bridge.words.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Part:
    """One file's routes; `digest` tells two contents apart, `place` is where its list of routes begins."""

    file: str
    text: str
    digest: str
    owner: str | None
    routes: tuple[Route, ...]
    written: tuple[Written, ...]
    place: Place
    warnings: tuple[Problem, ...] = ()  # of its texts; the rest is known once all files are put together


def read_part(
    text: str,
    *,
    file: str,
    airflows: Collection[str] | None,
    sources: Collection[str] | None,
    pages_url: str | None = None,
) -> Part:
    """Read one file. Raises ConfigError with every mistake: `file:line:column: what, and the nearest word`.

    `airflows` and `sources` are the names that bridge.yaml defines; with None any name will do. `pages_url`: where the
    pages of the bridge are; a route without a `note` links to the delivery's there.
    """
    tree = parse(text, file=file)
    problems: list[Problem] = []
    try:
        validate(MappingForm, tree)
    except ConfigError as error:
        problems = error.problems
    found = readable_part(tree.value)
    compiler = Compiler(found, tree, airflows, sources, pages_url=pages_url)
    compiled = {index: (compiler.route(item, index), item.form) for index, item in found.routes.items()}
    if problems or compiler.problems:
        raise config_error([*problems, *compiler.problems])
    written = tuple(
        Written(route, form.when, form.name, tree.place(("routes", index)), tree.place(("routes", index, "name")))
        for index, (route, form) in compiled.items()
    )
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    place = tree.place(("routes",))
    routes = tuple(route for route, _ in compiled.values())
    return Part(file, text, digest, found.owner, routes, written, place, tuple(compiler.warnings))


def taken(part: Part, others: Iterable[Part]) -> list[Problem]:
    """Return the mistakes of a file some of whose names other files have already."""
    names = {route.name: route for other in others for route in other.routes}
    return [
        Problem(part.file, *item.name_place, _taken(item, names[item.route.name]))
        for item in part.written
        if item.route.name in names
    ]


def joint_digest(parts: Sequence[Part]) -> str:
    """Return what tells two mappings apart: of one file its own digest."""
    if len(parts) == 1:
        return parts[0].digest
    return hashlib.sha256("\n".join(f"{part.file} {part.digest}" for part in parts).encode()).hexdigest()[:12]


def _taken(item: Written, owner: Route) -> str:
    where = f"{owner.file}:{owner.line}"
    if item.name is not None:
        return f'the name "{item.route.name}" is taken by the route of {where}'
    return f'without a `name` it is called "{item.route.name}", as the route of {where} is; give it a `name`'
