"""What following and the look at DAGs add to a trigger's own path: beside the same bridge with neither.

Each way has a bridge and a loopback stand-in for Airflow of its own, all at once. Webhooks go to them in turn, in
another order each time, so that a busy machine is as busy for each. In one of them DAGs are looked at a hundred times
as often as by default, so that a cost would show. The runs stay open, so each is due whenever runs are followed.
"""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from deploy.demo.processes import free_port
from tests.bench import end_to_end, machine, servers
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

_DAG = "refresh_sales_marts"
_PIPELINE = "pl_01hqxyz"
_WARM_UP = 10
_SPACING_SECONDS = 0.05  # the load: from one webhook to the next
_MORE = "    concurrency: 16\n    rate: 1000"


@dataclass(frozen=True, slots=True)
class _Place:
    """A bridge and its Airflow."""

    bridge: BridgeProcess
    airflow: Standin

    def used(self) -> tuple[float, int, int]:
        """Return the bridge's processor time so far, the runs that it asked for, and all requests."""
        return machine.cpu_seconds(self.bridge.process.pid), self.airflow.posts(), len(self.airflow.asked)


_NEITHER = "neither"
_WAYS = {  # whether runs are followed, and how often DAGs are looked at
    _NEITHER: (False, "3600"),
    "both, as by default": (True, "60"),
    "runs are followed": (True, "3600"),
    "DAGs are looked at every 0.6 s": (False, "0.6"),
}


def measure(*, webhooks: int) -> list[str]:
    """Let each way fire so many, and return the section of the report."""
    with ExitStack() as stack:
        places = {name: stack.enter_context(_place(*way)) for name, way in _WAYS.items()}
        _send(places, 0, _WARM_UP)
        before, began = {name: place.used() for name, place in places.items()}, time.monotonic()
        _send(places, _WARM_UP, webhooks)
        used = {
            name: tuple(b - a for a, b in zip(before[name], place.used(), strict=True))
            for name, place in places.items()
        }
        seconds = time.monotonic() - began
        inside = {name: end_to_end.inside(place.bridge)[_WARM_UP:] for name, place in places.items()}
    return [
        "## What following and the look at DAGs add to a trigger's own path",
        "",
        f"{len(_WAYS)} bridges at once, each with a stand-in for Airflow, SQLite; {webhooks} webhooks each, in turn, "
        f"within {seconds:.0f} s. Receipt to call: from the webhook's receipt to the beginning of its call. More than "
        "neither: webhook by webhook. Processor time: of the whole bridge, with what goes on beside.",
        "",
        "| beside firing | receipt to call, p10 and p50 ms | more than neither, quartiles ms | processor ms a webhook |"
        " POSTs of a run a webhook | other requests |",
        "|---|---|---|---|---|---|",
        *(_row(name, inside, used[name], webhooks) for name in _WAYS),
    ]


@contextmanager
def _place(follow: bool, dags_seconds: str) -> Iterator[_Place]:
    mapping = servers.MATCHES + f"    follow: {str(follow).lower()}\n"
    settings = {"BRIDGE_DAGS_SECONDS": dags_seconds}
    with Standin(free_port()) as airflow:
        airflow.dags[_DAG] = {"is_paused": False}
        with servers.bridge(mapping=mapping, airflow_url=airflow.url, more=_MORE, settings=settings) as bridge:
            yield _Place(bridge, airflow)


def _send(places: Mapping[str, _Place], first: int, amount: int) -> None:
    """Send to each in turn, and return when all have their runs."""
    for number in range(first, first + amount):
        payload = body(event=f"evt_{number}", pipeline=_PIPELINE)
        for place in random.sample(list(places.values()), len(places)):
            assert place.bridge.send(payload).status_code == 202
            time.sleep(_SPACING_SECONDS)
    fired = "SELECT count(*) FROM triggers WHERE state = 'fired'"
    for place in places.values():
        wait_for(
            lambda item=place.bridge: servers.ask(item, None, fired) == first + amount,
            seconds=300,
            what="every trigger fired",
        )


def _row(name: str, inside: Mapping[str, list[float]], used: tuple[float, ...], webhooks: int) -> str:
    more = [mine - other for mine, other in zip(inside[name], inside[_NEITHER], strict=True)]
    cpu, posts, asked = used
    cells = (
        ", ".join(f"{machine.percentile(inside[name], percent):.1f}" for percent in (10, 50)),
        ", ".join(f"{machine.percentile(more, percent):+.1f}" for percent in (25, 50, 75)),
        f"{cpu * 1e3 / webhooks:.1f}",
        f"{posts / webhooks:.3f}",
        f"{asked - posts:.0f}",
    )
    return f"| {name} | {' | '.join(cells)} |"
