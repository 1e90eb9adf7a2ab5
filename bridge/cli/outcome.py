"""What `replay --follow` does once the replay is done: watch until every DAG run has ended, and say how.

Each item is asked about singly, as `wait` does, so there may be no more than a few hundred. Ctrl-C ends the watching;
what was replayed goes on.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.cli.asking import MAX_ROWS, Asked, pages
from bridge.cli.carrying_out import progress
from bridge.cli.output import say
from bridge.words.errors import BadFilter, InboxUnavailable, NotThere, RemoteUnavailable
from bridge.words.model import DeliveryState

MAX_WATCHED = 500  # items: each is one small question a second
_LOOK_SECONDS = 1.0
_FEW = 20  # of which each word is said


def chosen(asked: Asked, filters: Mapping[str, str], *, limit: int | None) -> list[str]:
    """Return the ids that a filter means, oldest first. Raises BadFilter for more than can be followed."""
    path = "deliveries" if filters.get("state") in set(DeliveryState) else "triggers"
    found = pages(asked, path, filters, limit=MAX_ROWS)
    ids = [str(each["id"]) for each in reversed(found.rows)][:limit]
    if len(ids) > MAX_WATCHED or found.is_cut:
        amount = f"{len(found.rows)} or more" if found.is_cut else str(len(found.rows))
        raise BadFilter(f"{amount} match, and --follow watches {MAX_WATCHED} at most: take a part of them")
    return ids


@dataclass(slots=True)
class Item:
    """What is watched: a delivery, or what a route asks for at a DAG. A trigger that is routed again has another id."""

    delivery_id: str
    trigger_id: str | None = None
    place: tuple[str, str, str] | None = None  # route, Airflow, DAG


def items_of(asked: Asked, ids: list[str]) -> dict[str, Item]:
    """Return what is to be watched, by its id, as it is before the replay. Raises NotThere."""
    return {id_: Item(id_) if id_.startswith("dlv_") else _item(asked.get("triggers", id_)) for id_ in ids}


def _item(trigger: Mapping[str, Any]) -> Item:
    return Item(str(trigger["delivery_id"]), str(trigger["id"]), _place(trigger))


def _place(trigger: Mapping[str, Any]) -> tuple[str, str, str]:
    return trigger["route"], trigger["airflow"], trigger["dag_id"]


def follow(asked: Asked, items: Mapping[str, Item]) -> dict[str, int]:
    """Watch until nothing is open; return how many succeeded and failed, and how many are still open after Ctrl-C.

    `items` as `items_of` returned them before the replay.
    """
    open_ = dict.fromkeys(items, "")
    ended: Counter[str] = Counter()
    try:
        with progress("DAG runs", len(items)) as show:
            while open_:
                for id_, said in list(open_.items()):
                    outcome, why = _look(asked, items[id_])
                    if why != said and len(items) <= _FEW:
                        say(why)
                    open_[id_] = why
                    if outcome != "open":
                        del open_[id_]
                        ended[outcome] += 1
                show(ended.total())
                if open_:
                    time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        say(f"{len(open_)} go on, and are no longer watched")
    return {"success": ended["success"], "failed": ended["failed"], "open": len(open_)}


def _look(asked: Asked, item: Item) -> tuple[str, str]:
    """Return how one stands, and why; a bridge that is away for a while says nothing of it."""
    try:
        answer = _ask(asked, item)
    except (InboxUnavailable, RemoteUnavailable) as error:
        return "open", str(error)
    except NotThere as error:
        return "failed", str(error)
    return str(answer["outcome"]), str(answer["why"])


def _ask(asked: Asked, item: Item) -> dict[str, Any]:
    if item.trigger_id is not None:
        try:
            return asked.get("wait", trigger=item.trigger_id)
        except NotThere:
            now = asked.get("deliveries", item.delivery_id)["triggers"]
            item.trigger_id = next((str(each["id"]) for each in now if _place(each) == item.place), None)
    return asked.get("wait", delivery=item.delivery_id)
