"""A file of tests, read: the cases, and where each of their words stands."""

from collections.abc import Callable
from dataclasses import dataclass

from bridge.rules import samples
from bridge.rules.expecting.forms import SuiteForm, TestForm
from bridge.rules.yamltree import Path, Tree, config_error, parse, validate
from bridge.words.errors import Problem

Open = Callable[[str], bytes]  # a file beside the tests, by its path; raises OSError


@dataclass(frozen=True, slots=True)
class Case:
    """One test: its form, its body, and its place in the file."""

    form: TestForm
    body: bytes
    tree: Tree
    path: Path

    @property
    def line(self) -> int:
        """The line that the test begins in."""
        return self.tree.place(self.path)[0]

    def start_path(self, index: int) -> Path:
        """Return the path of an expected run; a single one may stand without a list."""
        written = self.tree.value["tests"][self.path[1]]["starts"]
        return ("starts", index) if isinstance(written, list) else ("starts",)

    def problem(self, path: Path, what: str) -> Problem:
        """Return a difference at the place of one of this test's words."""
        return self.tree.problem((*self.path, *path), what)


@dataclass(frozen=True, slots=True)
class Suite:
    """One file of tests."""

    file: str
    cases: tuple[Case, ...]


def read(text: str, *, file: str, open_beside: Open) -> Suite:
    """Read a file of tests. Raises ConfigError with every mistake: `file:line:column: what, and the nearest word`."""
    tree = parse(text, file=file)
    form = validate(SuiteForm, tree)
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    cases: list[Case] = []
    for index, test in enumerate(form.tests):
        path: Path = ("tests", index)
        if test.name in lines:
            what = f'the name "{test.name}" is taken by the test of line {lines[test.name]}'
            problems.append(tree.problem((*path, "name"), what))
        lines.setdefault(test.name, tree.place(path)[0])
        try:
            cases.append(Case(test, _body(test, open_beside), tree, path))
        except OSError as error:
            problems.append(tree.problem((*path, "body_file"), f"{test.body_file} cannot be read: {error.strerror}"))
        except ValueError as error:
            problems.append(tree.problem((*path, "with"), str(error)))
    if problems:
        raise config_error(problems)
    return Suite(file, tuple(cases))


def _body(test: TestForm, open_beside: Open) -> bytes:
    if test.body_file is not None:
        return open_beside(test.body_file)
    if test.sample is not None:
        return samples.compact(samples.changed(test.sample, test.changes or {}))
    if isinstance(test.body, str):
        return test.body.encode("utf-8", "surrogatepass")
    return samples.compact(test.body or {})
