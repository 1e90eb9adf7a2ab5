"""What the routes say to one event, without asking all of them.

The rule: an event costs what the routes for its pipeline cost, however many others there are. A route stands in an
index under the text with which each of its pipelines begins, up to the first `*`, `?` or `[`; if one begins with such a
letter or the route names none, its names of pipelines or its connections do the same. Only routes with none of the
three, or with a glob like `*_daily` there, are asked about every event.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from bridge.rules.mapping.globs import beginning
from bridge.rules.mapping.routes import Route, Verdict

_INDEXED = ("pipeline", "pipeline_name", "connection")  # the first of them that gives a route a place


class Index:
    """Finds the positions of the routes that may fit; every other route is known not to."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Put each route that is enabled into the index once for each of its globs."""
        self._asked_always: list[int] = []
        # By key, then by the length of the beginnings, so that an event is looked up once for each length.
        self._by_key: dict[str, dict[int, dict[str, list[int]]]] = {key: {} for key in _INDEXED}
        for position, route in enumerate(routes):
            if route.enabled:
                self._add(position, route)

    def _add(self, position: int, route: Route) -> None:
        wanted = {test.key: test.wanted for test in route.tests}
        for key in _INDEXED:
            beginnings = {beginning(glob) for glob in wanted.get(key, ())}
            if beginnings and all(beginnings):
                for text in beginnings:
                    self._by_key[key].setdefault(len(text), {}).setdefault(text, []).append(position)
                return
        self._asked_always.append(position)

    def positions(self, facts: Mapping[str, str | None]) -> list[int]:
        """Return the positions of the routes that may fit, in the file's order; `facts` as `Route.judge` takes them."""
        found = set(self._asked_always)
        for key, by_length in self._by_key.items():
            given = facts[key]
            if given is not None:
                for length, by_text in by_length.items():
                    found.update(by_text.get(given[:length], ()))
        return sorted(found)


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts(Sequence[Verdict]):
    """The verdict of every route, in the file's order.

    Those of `candidates` are there at once; another one is judged when it is read, since nobody but a person asks
    why a route does not fit.
    """

    routes: tuple[Route, ...]
    candidates: Mapping[int, Verdict]
    judge: Callable[[Route], Verdict]

    @property
    def fitting(self) -> tuple[Verdict, ...]:
        """The verdicts that make triggers: the route matches, or its `when` failed."""
        return tuple(verdict for verdict in self.candidates.values() if verdict.matches or verdict.error)

    def __len__(self) -> int:
        """Return the number of routes."""
        return len(self.routes)

    def __iter__(self) -> Iterator[Verdict]:
        """Judge every route."""
        return (self[position] for position in range(len(self.routes)))

    @overload
    def __getitem__(self, position: int) -> Verdict: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Verdict, ...]: ...
    def __getitem__(self, position: int | slice) -> Verdict | tuple[Verdict, ...]:
        """Return what the route at this position says."""
        if isinstance(position, slice):
            return tuple(self[each] for each in range(len(self.routes))[position])
        known = self.candidates.get(position)
        return self.judge(self.routes[position]) if known is None else known
