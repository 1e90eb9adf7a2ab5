"""Every page over a store with a long history, while intake goes on at 200 a second: how long each takes, and intake.

The pages are asked for by plain HTTP one after the other, again and again: first one a second, as a person does who
clicks fast, then without any pause. Beside stands what intake took alone and meanwhile, and the memory of the bridge.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from bridge.edges.inbox import prepare
from tests.bench import filling, machine, paced, servers
from tests.support.service import TOKEN, BridgeProcess, wait_for

_PER_SECOND = 200.0
_ALONE = 4_000  # webhooks, before any page is asked for; as many before them are not counted, since much is read first
_MATCHES = "routes:\n  - {name: orders, pipeline: pl_01hqxyz, dag: load_orders}\n"
_PIPELINE = "pl_another"  # of what is sent meanwhile: it matches no route
_UNROUTED = 90  # of a hundred stored deliveries: for most pipelines it is meant that no route wants them
_PAGES = {
    "overview": "/",
    "attention": "/attention",
    "deliveries": "/deliveries",
    "deliveries of a pipeline": "/deliveries?pipeline_id=pl_01hqxyz",
    "deliveries of a pipeline that no route wants": "/deliveries?pipeline_id=pl_another&source=none",
    "triggers of a pipeline": "/deliveries?pipeline_id=pl_01hqxyz&state=fired",
    "deliveries in a state": "/deliveries?state=unrouted",
    "deliveries in a state, by a source that sent none": "/deliveries?state=unrouted&source=none",
    "deliveries by a reason that none has": "/deliveries?reason=erased",
    "triggers of a route that has none": "/deliveries?route=none",
    "one delivery": "/deliveries/{delivery}",
    "one trigger": "/triggers/{trigger}",
    "an event is found": "/deliveries?find={event}",
    "routes": "/routes",
    "try": "/try",
    "refusals": "/refusals",
    "audit": "/audit",
    "orders": "/orders",
}


def measure(*, stored: int, rounds: int) -> list[str]:
    """Fill a SQLite store, ask for every page so many times, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=servers.FOLDER) as folder:
        store = f"sqlite:///{Path(folder) / 'bridge.db'}"
        prepare(store)
        filling.fill(store, stored, unrouted=_UNROUTED)
        os.sync()  # else the disk is still busy with it when intake is measured alone
        with servers.bridge(mapping=_MATCHES, store=store) as bridge, _client(bridge) as client:
            with paced.sending(bridge, per_second=_PER_SECOND, pipeline=_PIPELINE) as alone:
                wait_for(lambda: len(alone) >= 2 * _ALONE, seconds=300, what="as many answers")
            with paced.sending(bridge, per_second=_PER_SECOND, pipeline=_PIPELINE) as at_first:
                first = _ask(bridge, client, 1)
            with paced.sending(bridge, per_second=_PER_SECOND, pipeline=_PIPELINE) as clicked:
                _ask(bridge, client, 0, goes_on=lambda: len(clicked) < _ALONE, before_each=_each_second(clicked))
            with paced.sending(bridge, per_second=_PER_SECOND, pipeline=_PIPELINE) as meanwhile:
                found = _ask(bridge, client, rounds, goes_on=lambda: len(meanwhile) < _ALONE)  # as many as alone
            memory = psutil.Process(bridge.process.pid).memory_info().rss / 1e6
    return [
        f"## Pages over {stored:,} stored deliveries (SQLite), {_UNROUTED} % of which no route wanted",
        "",
        f"Intake of {_PER_SECOND:.0f} webhooks a second goes on; its times are from when each was due.",
        "",
        "| page | median, ms | slowest, ms | kB |",
        "|---|---|---|---|",
        *(
            f"| {name} | {statistics.median(times) * 1e3:.0f} | {max(times) * 1e3:.0f} | {size / 1e3:.0f} |"
            for name, (times, size) in found.items()
        ),
        "",
        f"Ack p50 / p99: alone {_spell(alone[_ALONE:])} ms, with a page a second {_spell(clicked)} ms, with pages asked"
        f" for without a pause {_spell(meanwhile)} ms, and while each page was"
        f" asked for the first time after the start ({max(first.values())[0][0] * 1e3:.0f} ms at most)"
        f" {_spell(at_first)} ms. Memory (RSS): {memory:.0f} MB.",
    ]


def _client(bridge: BridgeProcess) -> httpx.Client:
    """Return a client of the pages. It is made before anything is measured: reading certificates holds up senders."""
    head = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{bridge.admin_port}", headers=head, trust_env=False, timeout=60)


def _each_second(answers: Sequence[float]) -> Callable[[], None]:
    """Return what waits until another second's webhooks are answered."""
    due = count(int(_PER_SECOND), int(_PER_SECOND))

    def wait() -> None:
        amount = next(due)
        wait_for(lambda: len(answers) >= amount, seconds=60, what="another second's webhooks are answered")

    return wait


def _ask(
    bridge: BridgeProcess,
    client: httpx.Client,
    rounds: int,
    goes_on: Callable[[], bool] = lambda: False,
    before_each: Callable[[], None] = lambda: None,
) -> dict[str, tuple[list[float], int]]:
    """Ask for every page so many times at least; return how long each took, each time, and its size."""
    found: dict[str, tuple[list[float], int]] = {}
    trigger = bridge.api("triggers", state="fired", limit=1)["triggers"][0]
    event = bridge.api("deliveries", limit=1)["deliveries"][0]["event_id"]  # one that was sent: it is found by its key
    ids = {"trigger": trigger["id"], "delivery": trigger["delivery_id"], "event": event}
    done = 0
    while done < rounds or goes_on():
        done += 1
        for name, path in _PAGES.items():
            before_each()
            began = time.perf_counter()
            answer = client.get(path.format(**ids))
            seconds = time.perf_counter() - began
            assert answer.status_code in (200, 303), (name, answer.text)
            found.setdefault(name, ([], 0))[0].append(seconds)
            found[name] = (found[name][0], len(answer.content))
    return found


def _spell(times: list[float]) -> str:
    return " / ".join(f"{machine.percentile(times, percent) * 1e3:.1f}" for percent in (50, 99))
