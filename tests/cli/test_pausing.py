"""pause and resume beside a store: what a person types, what is answered, and what is refused."""

import pytest

from tests.cli.conftest import Place
from tests.support.store import Store

ROUTES = """
routes:
  - {name: load_orders, pipeline: pl_1, dag: load_orders}
  - {pipeline: pl_2, dag: load_crm}
"""
pytestmark = pytest.mark.crash


@pytest.fixture
def with_store(place: Place) -> Place:
    """A place with an empty store, a route with a name, and one without."""
    (place.folder / "mapping.yaml").write_text(ROUTES)
    place.store()
    return place


def test_a_pause_is_placed_shown_and_resumed(with_store: Place) -> None:
    """Each answer is JSON when asked for, and a table for people; nothing paused is exit 1."""
    place = with_store
    assert (place.run("pause", "--json").code, place.run("pause", "--json").json) == (1, [])
    paused = place.run("pause", "route", "load_orders", "--for", "2h", "--reason", "a move", "--json").json
    assert (paused["kind"], paused["name"], paused["reason"], paused["is_gone"]) == (
        "route",
        "load_orders",
        "a move",
        False,
    )
    assert paused["actor"].startswith("cli:")
    assert paused["paused_at"] < paused["ends_at"]
    place.run("pause", "airflow", "default")
    listed = place.run("pause", "--json")
    assert (listed.code, [(item["kind"], item["name"]) for item in listed.json]) == (
        0,
        [("route", "load_orders"), ("airflow", "default")],
    )
    assert "a move" in place.run("pause").out
    assert place.run("resume", "route", "load_orders", "--reason", "done").code == 0
    assert [item["kind"] for item in place.run("pause", "--json").json] == ["airflow"]
    store = Store(place.folder / "bridge.db")
    audited = store.rows("SELECT action, subject, reason FROM audit ORDER BY id")
    store.close()
    assert audited == [
        ("paused", "route load_orders", "a move"),
        ("paused", "airflow default", None),
        ("resumed", "route load_orders", "done"),
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("pause", "route", "load_order"), 2, 'did you mean "load_orders"?'),
        (
            ("pause", "route", "load_crm"),
            2,
            "has no `name:`, and may be called otherwise after a change: add `name: load_crm`",
        ),
        (("pause", "source", "x"), 2, '"x" is not the name of a source; there is planasonix'),
        (("pause", "airflow", "defualt"), 2, 'did you mean "default"?'),
        (("pause", "route"), 2, "say which route"),
        (("pause", "dag", "load_orders"), 2, "dag"),
        (("pause", "route", "load_orders", "--for", "2"), 2, "is not a duration"),
        (("pause", "route", "load_orders", "--for", "0s"), 2, "from one second to a year"),
        (("pause", "route", "load_orders", "--reason", " "), 2, "reason must be text"),
        (("resume", "route", "load_orders"), 1, "route load_orders is not paused; paused is nothing"),
    ],
)
def test_what_cannot_be_done_is_refused(with_store: Place, words: tuple[str, ...], code: int, said: str) -> None:
    """With the word that was probably meant, and nothing is stored."""
    ended = with_store.run(*words)
    assert (ended.code, ended.out) == (code, "")
    assert said in " ".join(ended.err.replace("│", " ").split())


def test_a_broken_mapping_keeps_nobody_from_pausing(with_store: Place) -> None:
    """The name cannot be checked, which is said."""
    (with_store.folder / "mapping.yaml").write_text("routes: {")
    ended = with_store.run("pause", "route", "load_orders", "--json")
    assert (ended.code, ended.json["name"]) == (0, "load_orders")
    assert "nobody knows whether there is a route load_orders" in ended.err


def test_a_pause_whose_name_has_gone_is_shown_as_such(with_store: Place) -> None:
    """And it can be resumed."""
    with_store.run("pause", "route", "load_orders")
    (with_store.folder / "mapping.yaml").write_text("routes: []\n")
    assert "no longer configured" in with_store.run("pause").out
    assert with_store.run("resume", "route", "load_orders").code == 0
