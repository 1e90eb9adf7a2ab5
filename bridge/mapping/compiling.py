"""From the checked form of mapping.yaml to routes: names, globs, templates, and what only the whole file shows.

Collects every problem of every route; whoever called raises them together.
"""

import fnmatch
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.errors import Problem
from bridge.mapping.routes import Route, Test
from bridge.mapping.schema import DefaultsForm, RouteForm
from bridge.model import Limits
from bridge.rendering import BadTemplate, compile_condition, compile_text
from bridge.yamltree import Path, Tree, nearest

_TESTS = ("source", "event", "pipeline", "pipeline_name", "connection", "environment")
_OWN_KEY = "planasonix"
_DEFAULT_AGE_SECONDS = 86_400.0


class Compiler:
    """Compiles the routes of one file, one after the other; what is wrong with them is in `problems`."""

    def __init__(self, defaults: DefaultsForm, tree: Tree, airflows: Sequence[str], sources: Sequence[str]) -> None:
        """`airflows` and `sources` are the names that bridge.yaml defines."""
        self.problems: list[Problem] = []
        self._defaults = defaults
        self._tree = tree
        self._airflows = airflows
        self._sources = sources
        self._lines: dict[str, int] = {}  # by route name

    def route(self, form: RouteForm, index: int) -> Route:
        """Compile one route; what is wrong with it goes to `problems`."""
        path: Path = ("routes", index)
        tests = self._tests(form, path)
        name = self._name(form, tests, path)
        max_age = self._pick(form, "max_age")
        return Route(
            name=name,
            line=self._tree.place(path)[0],
            enabled=self._pick(form, "enabled") is not False,
            airflow=self._airflow(form, path),
            dags=self._dags(form, path),
            tests=tests,
            condition=self._template(compile_condition, form.when, (*path, "when"), "when"),
            conf=self._conf(form, path),
            note=self._template(compile_text, self._pick(form, "note"), self._where(form, path, "note"), "note"),
            dag_run_id=self._template(compile_text, form.dag_run_id, (*path, "dag_run_id"), "dag_run_id"),
            limits=Limits(
                max_age_seconds=_DEFAULT_AGE_SECONDS if max_age is None else max_age,
                max_attempts=self._pick(form, "max_attempts"),
                concurrency=self._pick(form, "concurrency"),
            ),
        )

    def _pick(self, form: RouteForm, key: str) -> Any:
        """Return the route's own value of a key, else the default's."""
        own = getattr(form, key)
        return getattr(self._defaults, key) if own is None else own

    def _where(self, form: RouteForm, path: Path, key: str) -> Path:
        """Return where a value stands that may come from the defaults."""
        return (*path, key) if getattr(form, key) is not None else ("defaults", key)

    def _note(self, path: Path, what: str) -> None:
        self.problems.append(self._tree.problem(path, what))

    def _tests(self, form: RouteForm, path: Path) -> tuple[Test, ...]:
        tests: list[Test] = []
        for key in _TESTS:
            wanted = self._pick(form, key) if hasattr(self._defaults, key) else getattr(form, key)
            if wanted is not None:
                where = self._where(form, path, key)
                tests.append(Test(key, tuple(wanted), self._globs(wanted, where)))
                if key == "source":
                    self._check_sources(wanted, where)
        statuses = tuple(str(word) for word in self._pick(form, "on") or ("succeeded",))
        return (*tests, Test("on", statuses, frozenset(statuses).__contains__))

    def _globs(self, patterns: Sequence[str], path: Path) -> Callable[[str], object]:
        """Compile globs into one expression; fnmatch takes a broken `[` for text, which no one ever means."""
        for pattern in patterns:
            if "{{" in pattern:
                self._note(path, f'"{pattern}" is a glob, not a template')
            elif pattern.count("[") != pattern.count("]") or "[]" in pattern.replace("[]]", ""):
                self._note(path, f'bad glob "{pattern}": a "[" without its "]"')
        return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)).match

    def _check_sources(self, wanted: Sequence[str], path: Path) -> None:
        if not any(fnmatch.fnmatchcase(source, pattern) for source in self._sources for pattern in wanted):
            hint = nearest(wanted[0], list(self._sources)) or f"; there is {', '.join(self._sources)}"
            self._note(path, f'can never match: no source "{wanted[0]}"{hint}')

    def _name(self, form: RouteForm, tests: Sequence[Test], path: Path) -> str:
        """Return the route's name, unique in the file.

        An unnamed route is called after its DAGs; a later one with the same DAGs also after what it matches, so that
        the name, and with it the DAG run ids, does not depend on other routes' order among themselves.
        """
        line = self._tree.place(path)[0]
        name = form.name if form.name is not None else "+".join(form.dag)[:100]
        if name in self._lines and form.name is None:
            keys = [[test.key, sorted(test.wanted)] for test in tests]
            digest = hashlib.sha256(json.dumps([keys, form.when]).encode()).hexdigest()[:8]
            name = f"{name}-{digest}"
            if name in self._lines:
                self._note(path, f"repeats the route of line {self._lines[name]}; change it, or give it a `name`")
        elif name in self._lines:
            self._note((*path, "name"), f'the name "{name}" is taken by the route of line {self._lines[name]}')
        self._lines.setdefault(name, line)
        return name

    def _dags(self, form: RouteForm, path: Path) -> tuple[str, ...]:
        if len(set(form.dag)) != len(form.dag):
            self._note((*path, "dag"), "names a DAG twice")
        return tuple(form.dag)

    def _airflow(self, form: RouteForm, path: Path) -> str:
        """Return the Airflow of a route: its own, the default's, the one called `default`, or the only one."""
        name = self._pick(form, "airflow")
        if name is None and len(self._airflows) == 1:
            return self._airflows[0]
        if name is None and "default" in self._airflows:
            return "default"
        if name is None:
            self._note(path, f"say which `airflow`; there is {', '.join(self._airflows)}")
        elif name not in self._airflows:
            hint = nearest(name, list(self._airflows)) or f"; there is {', '.join(self._airflows)}"
            self._note(self._where(form, path, "airflow"), f'unknown Airflow "{name}"{hint}')
        return str(name)

    def _conf(self, form: RouteForm, path: Path) -> Mapping[str, Any]:
        own, inherited = form.conf or {}, self._defaults.conf or {}
        conf: dict[str, Any] = {}
        for base, values in (("defaults", "conf"), inherited), ((*path, "conf"), own):
            for key, value in values.items():
                if key == _OWN_KEY:
                    self._note((*base, key), "the key `planasonix` is the bridge's own")
                if base[0] == "defaults" and key in own:
                    continue
                conf[key] = self._compiled(value, (*base, key), f"conf.{key}")
        return conf

    def _compiled(self, value: Any, path: Path, where: str) -> Any:
        """Compile every text inside a value of conf."""
        if isinstance(value, str):
            return self._template(compile_text, value, path, where)
        if isinstance(value, dict):
            return {key: self._compiled(item, (*path, key), f"{where}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self._compiled(item, (*path, index), f"{where}[{index}]") for index, item in enumerate(value)]
        return value

    def _template(self, compile_it: Callable[[str, str], Any], text: str | None, path: Path, where: str) -> Any:
        if text is None:
            return None
        try:
            return compile_it(text, where)
        except BadTemplate as error:
            hint = nearest(error.word, error.words) if error.word is not None else ""
            prefix = "can never match: " if where == "when" and error.word is None and "always" in error.what else ""
            self._note(path, f"{prefix}{where}: {error.what}{hint}")
            return None
