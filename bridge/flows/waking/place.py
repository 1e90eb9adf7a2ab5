"""One Airflow as waking sees it: what its two steps share."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from bridge.edges.airflow.waits import Waits
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.words.waits import Wait


@dataclass(frozen=True, slots=True)
class Place:
    """An Airflow, by its name in bridge.yaml, and what is needed to ask it.

    `take_turn` takes one call's share of its pace; False: it may not be called now. `go_on` runs before each call;
    False: the loop is ending. `let_go` forgets waits that have ended without an answer of ours.
    """

    name: str
    airflow: Waits
    inbox: Inbox
    metrics: Metrics
    take_turn: Callable[[], bool]
    go_on: Callable[[], bool]
    let_go: Callable[[Collection[Wait]], None]
