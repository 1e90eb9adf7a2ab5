"""From the checked form of mapping.yaml to routes: names, globs, templates, and what only the whole file shows.

Collects every problem of every route; whoever called raises them together.
"""

import fnmatch
import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from bridge.rules.mapping.globs import matcher, mistake
from bridge.rules.mapping.routes import Route, Test
from bridge.rules.mapping.schema import DefaultsForm, Readable, ReadablePart, RouteForm
from bridge.rules.rendering import BadTemplate, compile_condition, compile_id, compile_text
from bridge.rules.yamltree import Path, Tree, nearest
from bridge.words.errors import Problem
from bridge.words.holds import DEFAULT_HOLD_SECONDS, IfPaused, Release
from bridge.words.model import EVENT_FIELDS, Limits

_TESTS = ("source", "event", "pipeline", "pipeline_name", "connection", "environment")
_IDS = ("source", "pipeline", "connection")  # the type of an event may be any text that a Webhook Action sends
_OWN_KEY = "planasonix"
_DEFAULT_AGE_SECONDS = Limits().max_age_seconds
_MAX_NAME = 100
_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_FIELD = rf"event\.(?:{'|'.join(EVENT_FIELDS)})\b"
# A field that lacks its {{ }}: alone, or in braces of another language. Bounded, since it is shown.
_is_bare = re.compile(
    rf"\A\s*({_FIELD}[.\w]{{0,99}})\s*\Z|(?<![{{%])\$?\{{\s{{0,9}}({_FIELD}[^{{}}:]{{0,99}})\}}"
).search
_LINK = "Planasonix bridge: {}/deliveries/{{{{ delivery.id }}}}"


class Compiler:
    """Compiles the routes of one file, one after the other.

    What is wrong with them is in `problems`, and what of their texts can hardly be meant in `warnings`.
    """

    def __init__(
        self,
        part: ReadablePart,
        tree: Tree,
        airflows: Collection[str] | None,
        sources: Collection[str] | None,
        *,
        pages_url: str | None = None,
    ) -> None:
        """`airflows` and `sources` are the names that bridge.yaml defines, None if they are not known.

        `pages_url`: where the pages of the bridge are; None: nobody has said.
        """
        self._owner = part.owner
        self._constants = part.constants
        defaults = part.defaults.form
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._defaults = defaults
        self._defaults_left_out = part.defaults.left_out
        self._tree = tree
        self._airflows = None if airflows is None else list(airflows)
        self._sources = None if sources is None else list(sources)
        self._lines: dict[str, int] = {}  # by route name
        self._check_constants(self._constants, ("vars",))
        # The defaults are compiled even if no route uses them, so that their mistakes are told at once.
        self._default_tests = self._tests(defaults, ("defaults",))
        self._default_conf = self._conf(defaults, ("defaults",))
        self._default_note = self._template(compile_text, defaults.note, ("defaults", "note"), "note")
        if defaults.note is None and pages_url is not None:
            self._default_note = compile_text(_LINK.format(pages_url), "note")
        if defaults.airflow is not None:
            self._check_airflow(defaults.airflow, ("defaults", "airflow"))

    def route(self, readable: Readable[RouteForm], index: int) -> Route:
        """Compile one route; what is wrong with it goes to `problems`."""
        path: Path = ("routes", index)
        form = readable.form
        own = self._tests(form, path)
        statuses = tuple(str(word) for word in self._pick(form, "on") or ("succeeded",))
        given = self._default_tests | own
        tests = (*(given[key] for key in _TESTS if key in given), Test("on", statuses, matcher(statuses)))
        note = self._template(compile_text, form.note, (*path, "note"), "note")
        airflow = self._airflow(readable, path)
        owner = form.owner or self._owner
        return Route(
            name=self._name(readable, tests, path),
            file=self._tree.file,
            owner=owner,
            is_named=form.name is not None,
            line=self._tree.place(path)[0],
            enabled=self._pick(form, "enabled") is not False,
            airflow=airflow,
            dags=self._dags(form, path),
            tests=tests,
            condition=self._template(compile_condition, form.when, (*path, "when"), "when"),
            conf={**self._default_conf, **self._conf(form, path)},
            note=self._default_note if note is None else note,
            dag_run_id=self._template(compile_id, form.dag_run_id, (*path, "dag_run_id"), "dag_run_id"),
            limits=self._limits(form),
            follow=self._pick(form, "follow") is not False,
            holds_to_params=self._pick(form, "conf_schema") == "dag",
            if_paused=IfPaused(self._pick(form, "if_paused") or IfPaused.TRIGGER),
            release=Release(self._pick(form, "release") or Release.ALL),
            written=self._written(
                form, {"airflow": airflow, "on": list(statuses)} | ({"owner": owner} if owner else {})
            ),
        )

    def _limits(self, form: RouteForm) -> Limits:
        return Limits(
            max_age_seconds=self._pick(form, "max_age") or _DEFAULT_AGE_SECONDS,
            max_attempts=self._pick(form, "max_attempts"),
            concurrency=self._pick(form, "concurrency"),
            max_per_hour=self._pick(form, "max_per_hour"),
            deadline_seconds=self._pick(form, "deadline"),
            hold_seconds=self._pick(form, "hold_at_most") or DEFAULT_HOLD_SECONDS,
        )

    def _written(self, form: RouteForm, resolved: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the file says of a route, but its name: with the defaults, and the `vars` that it reads."""
        own = form.model_dump(exclude_none=True, exclude={"name"})
        shared = self._defaults.model_dump(exclude_none=True)
        conf = {**shared.get("conf", {}), **own.get("conf", {})}
        usual: dict[str, Any] = {"enabled": True, "follow": True, "max_age": _DEFAULT_AGE_SECONDS}
        usual |= {"if_paused": "trigger", "release": "all", "hold_at_most": DEFAULT_HOLD_SECONDS, "conf_schema": "any"}
        said = {**usual, **shared, **own, **resolved}
        read = {name for name in self._constants if _reads(name, json.dumps([said, conf]))}
        used = {"vars": {name: self._constants[name] for name in sorted(read)}} if read else {}
        return {**said, **({"conf": conf} if conf else {}), **used}

    def _pick(self, form: RouteForm, key: str) -> Any:
        """Return the route's own value of a key, else the default's."""
        own = getattr(form, key)
        return getattr(self._defaults, key) if own is None else own

    def _note(self, path: Path, what: str) -> None:
        self.problems.append(self._tree.problem(path, what))

    def _tests(self, form: DefaultsForm, path: Path) -> dict[str, Test]:
        """Return the tests that a form spells itself, by key."""
        tests: dict[str, Test] = {}
        for key in _TESTS:
            wanted = getattr(form, key, None)
            if wanted is not None:
                where = (*path, key)
                tests[key] = Test(key, tuple(wanted), self._matcher(wanted, where))
                if key == "source":
                    self._check_sources(wanted, where)
        return tests

    def _matcher(self, patterns: Sequence[str], path: Path) -> Callable[[str], object]:
        for index, pattern in enumerate(patterns):
            if what := mistake(pattern, of_an_id=path[-1] in _IDS):
                self._note((*path, index), what)
        return matcher(patterns)

    def _check_sources(self, wanted: Sequence[str], path: Path) -> None:
        for index, pattern in enumerate(wanted):
            if self._sources is not None and not any(fnmatch.fnmatchcase(name, pattern) for name in self._sources):
                hint = nearest(pattern, self._sources) or f"; there is {', '.join(self._sources)}"
                self._note((*path, index), f'can never match: no source "{pattern}"{hint}')

    def _name(self, readable: Readable[RouteForm], tests: Sequence[Test], path: Path) -> str:
        """Return the route's name, unique in the file.

        An unnamed route is called after its DAGs; a later one with the same DAGs also after what it matches. So the
        name, and with it the DAG run ids, changes only when the first route of a DAG changes places: give names then.
        """
        form = readable.form
        line = self._tree.place(path)[0]
        if form.name is None and readable.left_out:
            return f"line {line}"  # what it would be called is not known, so neither whether another is called so
        name = form.name if form.name is not None else _joined(form.dag)
        if name in self._lines and form.name is None:
            keys = [[test.key, sorted(test.wanted)] for test in tests]
            digest = hashlib.sha256(json.dumps([keys, form.when, form.airflow]).encode()).hexdigest()[:8]
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

    def _airflow(self, readable: Readable[RouteForm], path: Path) -> str:
        """Return the Airflow of a route: its own, the default's, the one called `default`, or the only one."""
        form = readable.form
        if "airflow" in readable.left_out | self._defaults_left_out:
            return ""  # which one is meant is not known, so nothing can be said of it
        if form.airflow is not None:
            self._check_airflow(form.airflow, (*path, "airflow"))
            return form.airflow
        if self._defaults.airflow is not None:
            return self._defaults.airflow
        if self._airflows is None:
            return "default"
        if len(self._airflows) == 1:
            return self._airflows[0]
        if "default" not in self._airflows:
            self._note(path, f"say which `airflow`; there is {', '.join(self._airflows)}")
        return "default"

    def _check_airflow(self, name: str, path: Path) -> None:
        if self._airflows is not None and name not in self._airflows:
            hint = nearest(name, self._airflows) or f"; there is {', '.join(self._airflows)}"
            self._note(path, f'unknown Airflow "{name}"{hint}')

    def _conf(self, form: DefaultsForm, path: Path) -> dict[str, Any]:
        conf = form.conf or {}
        if _OWN_KEY in conf:
            self._note((*path, "conf", _OWN_KEY), "the key `planasonix` is the bridge's own")
        compiled: dict[str, Any] = self._compiled(conf, (*path, "conf"), "conf")
        return compiled

    def _compiled(self, value: Any, path: Path, where: str) -> Any:
        """Compile every text inside a value of conf."""
        if isinstance(value, str):
            self._check_word(value, path, where)
            return self._template(compile_text, value, path, where)
        if isinstance(value, dict):
            for key in value:
                if "{{" in key or "{%" in key:
                    self._note((*path, key), "a key of conf is static text: an event can never choose it")
            return {key: self._compiled(item, (*path, key), f"{where}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self._compiled(item, (*path, index), f"{where}[{index}]") for index, item in enumerate(value)]
        self._check_spelling(value, path, where)
        return value

    def _check_spelling(self, value: Any, path: Path, where: str) -> None:
        """Refuse a number that would be sent in another spelling: a postal code, a version."""
        spelled = self._tree.spelled.get(path)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and spelled is not None and spelled != str(value):
            self._note(path, f'{where}: {spelled} would be sent as {value}; put it in quotes: "{spelled}"')

    def _check_word(self, text: str, path: Path, where: str) -> None:
        """Warn of a text that older YAML takes for true or false: `no` would count as true in the DAG."""
        meant = _SWITCHES.get(text.lower())
        if meant is not None and path in self._tree.spelled:
            what = f'{where}: {text} is a text here, which Python takes as true; write {meant}, or "{text}" in quotes'
            self.warnings.append(self._tree.problem(path, what))

    def _check_constants(self, value: Any, path: Path) -> None:
        """Look at every value of `vars`: nothing in it is rendered, and a number is sent as it is spelled."""
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            self._note(path, "`vars` hold plain values; write the template where the value is used")
        if isinstance(value, str):
            self._check_word(value, path, ".".join(map(str, path)))
        for key, item in (
            value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else [])
        ):
            self._check_constants(item, (*path, key))
        self._check_spelling(value, path, ".".join(map(str, path)))

    def _template(
        self, compile_it: Callable[[str, str, Mapping[str, Any]], Any], text: str | None, path: Path, where: str
    ) -> Any:
        if text is None:
            return None
        if compile_it is compile_text and (found := _is_bare(text)):
            shown, field = (" ".join(part.split()) for part in (found[0], found[1] or found[2]))
            what = f"{where}: {shown} is sent as it stands; write {{{{ {field} }}}}"
            self.warnings.append(self._tree.problem(path, what))
        try:
            return compile_it(text, where, self._constants)
        except BadTemplate as error:
            hint = ""
            if error.word is not None:
                hint = nearest(error.word, error.words) or f"; there is {', '.join(error.words)}"
            self._note(path, f"{where}: {error.what}{hint}")
            return None


def _reads(name: str, text: str) -> bool:
    """Whether a text may read a constant; one that only looks so is no harm, since its change is said and no more."""
    return re.search(rf"\bvars\b.{{0,9}}\b{name}\b", text) is not None


def _joined(dags: Sequence[str]) -> str:
    """Return the name of an unnamed route; a long one is told apart from others by a digest."""
    name = "+".join(dags)
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
