"""Of the completions of one id, those are read whose pipelines agree with what is asked, and no other."""

import pytest

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.agreeing import Telling, agreeing
from bridge.edges.inbox.engine.ids import number
from bridge.rules.completion import Key
from tests.support.store import Store, stored

RUN = ("42", "run", "planasonix", "succeeded")
OTHERS: dict[str, Key] = {
    "id": ("43", *RUN[1:]),
    "kind": ("42", "job", *RUN[2:]),
    "source": ("42", "run", "other", "succeeded"),
    "status": (*RUN[:3], "failed"),
}


@pytest.fixture
def rows(inbox: Inbox, store: Store) -> dict[str, Telling]:
    """The run 42 of two pipelines, of none, and of the first once more; and completions that are others."""
    wanted = [("a", RUN, "pl_a"), ("b", RUN, "pl_b"), ("none", RUN, None), ("again", RUN, "pl_a")]
    wanted += [(name, key, "pl_a") for name, key in OTHERS.items()]
    found, columns = {}, "delivery_id, about_id, kind, source, status, pipeline_id, nth"
    for nth, (name, key, pipeline) in enumerate(wanted):
        delivery = number(stored(inbox, f"evt_{name}"), "dlv")
        store.rows(f"INSERT INTO completions ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", delivery, *key, pipeline, nth)  # noqa: S608
        found[name] = Telling(delivery, key, pipeline)
    return found


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([], []),
        ([(RUN, None)], ["a", "b", "none", "again"]),
        ([(RUN, "pl_a")], ["a", "none", "again"]),
        ([(RUN, "pl_b")], ["b", "none"]),
        ([(RUN, "pl_c")], ["none"]),
        ([(RUN, "pl_a"), (RUN, "pl_b")], ["a", "b", "none", "again"]),
        ([(RUN, "pl_a"), (RUN, None)], ["a", "b", "none", "again"]),
        ([(OTHERS["id"], "pl_a")], ["id"]),
        ([(OTHERS["kind"], None)], ["kind"]),
        ([(OTHERS["source"], "pl_a"), (OTHERS["status"], None)], ["source", "status"]),
        ([(RUN, "pl_b"), (OTHERS["id"], "pl_a"), (OTHERS["id"], "pl_b")], ["b", "none", "id"]),
        ([(RUN, "pl_b"), (OTHERS["id"], None)], ["b", "none", "id"]),
    ],
)
def test_a_completion_is_read_with_what_may_be_of_its_pipeline(
    inbox: Inbox, rows: dict[str, Telling], wanted: list[tuple[Key, str | None]], names: list[str]
) -> None:
    """Each row once, the oldest delivery first; without a pipeline all of them."""
    assert inbox.read(agreeing, wanted) == [rows[name] for name in names]
