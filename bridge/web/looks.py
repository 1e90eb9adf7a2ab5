"""What the JSON API answers about deliveries and triggers: pages of them, and one of them whole."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from bridge.edges.inbox import Inbox, browsing, chains, completions, dags, deliveries, triggers, walking
from bridge.flows.explaining.searching import AS_MEANT, Searched, SpellingOf, aside, search
from bridge.rules import stories, views
from bridge.web.queries import MAX_LIMIT, next_page, page, storable, time_range
from bridge.words.errors import NotThere
from bridge.words.model import TriggerEntry, TriggerState
from bridge.words.roles import Caller

_MOST_ASIDE = 20
Link = Callable[[str, str, str | None], str | None]


class LooksApi:
    """The part of the admin API that shows what is stored; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox, sources: Collection[str], link: Link, spelling_of: SpellingOf) -> None:
        """`sources`: the names of those that are configured, by which an event is found at once.

        `link` returns the page of a DAG run, given the Airflow's name, the DAG and the DAG run id; `spelling_of` how a
        source spells its bodies.
        """
        self._inbox = inbox
        self._sources = sources
        self._link = link
        self._spelling_of = spelling_of

    def deliveries(self, *, query: Mapping[str, str], caller: Caller, **_: Any) -> views.Json:
        """Return a page of deliveries, newest first; `next` is the `after` of the following page.

        A filter that no index knows looks at 20 000 rows at most, of the state or pipeline that is asked for: a page
        may be short, even empty, and have a `next`.
        """
        wanted, limit = page(query, browsing.DELIVERY_FILTERS)
        wanted = replace(wanted, among=(wanted.source,) if wanted.source else tuple(self._sources))
        part = self._inbox.read(walking.part, table="deliveries", wanted=wanted)
        found = self._inbox.read(browsing.deliveries, wanted=part, limit=limit)
        pipelines = self._inbox.read(completions.pipelines, [item.id for item in found])
        rows = [views.delivery_entry(item) | {"pipeline_id": pipelines.get(item.id)} for item in found]
        shown = {"deliveries": rows, "next": next_page(found, limit) or part.edge}
        return _for(caller, shown)

    def delivery(self, *, path: Mapping[str, str], caller: Caller, **_: Any) -> views.Json:
        """Return one delivery with its triggers."""
        found = self._inbox.read(deliveries.get, path["id"])
        if found is None:
            raise NotThere(f"no delivery {path['id']}")
        mine = self._inbox.read(browsing.triggers, wanted=browsing.Filter(delivery_id=found.id), limit=MAX_LIMIT)
        return _for(caller, views.delivery(found) | {"triggers": [self._entry(item) for item in mine]})

    def find(self, id_: str, *, caller: Caller) -> Searched:
        """Return what an id means, and which deliveries have it; any id that `why` takes, found as `why` does."""
        return search(
            self._inbox,
            storable("id", id_),
            sources=self._sources,
            spelling_of=self._spelling_of,
            sees_payloads=caller.sees_payloads,
        )

    def aside(self, id_: str, query: Mapping[str, str], *, caller: Caller) -> views.Json:
        """Return the newest deliveries of a time that name a pipeline, job or run, and that no list by it has.

        They wait, cannot be read or have a status that nobody knows. `unread`: as `why` has it.
        """
        since, until = time_range(query)
        found = aside(
            self._inbox,
            storable("id", id_),
            spelling_of=self._spelling_of,
            since=since,
            until=until,
            limit=_MOST_ASIDE,
            skipped=AS_MEANT,
            sees_payloads=caller.sees_payloads,
        )
        shown = {"deliveries": [views.delivery_entry(each) for each in found.deliveries], "unread": found.unread()}
        return _for(caller, shown)

    def triggers(self, *, query: Mapping[str, str], caller: Caller, **_: Any) -> views.Json:
        """Return a page of triggers, newest first; `next` is the `after` of the following page."""
        wanted, limit = page(query, browsing.TRIGGER_FILTERS)
        part = self._inbox.read(walking.part, table="triggers", wanted=wanted)
        found = self._inbox.read(browsing.triggers, wanted=part, limit=limit)
        shown = {"triggers": [self._entry(item) for item in found], "next": next_page(found, limit) or part.edge}
        return _for(caller, shown)

    def trigger(self, *, path: Mapping[str, str], caller: Caller, **_: Any) -> views.Json:
        """Return one trigger with its attempts."""
        found = self._inbox.read(triggers.get, path["id"])
        if found is None:
            raise NotThere(f"no trigger {path['id']}")
        tries = self._inbox.read(browsing.attempts, found.id)
        mine = self._inbox.read(
            browsing.triggers, wanted=browsing.Filter(delivery_id=found.delivery_id), limit=MAX_LIMIT
        )
        known = self._inbox.read(dags.get, airflow=found.call.airflow, dag_id=found.call.dag_id)
        chain = self._inbox.read(chains.behind, found.delivery_id)
        shown = views.trigger(found) | views.chain(chain) | views.rivals(found.entry, mine)
        shown |= stories.of_dag(found.entry, known) | {"link": self._page_of(found.entry)}
        return _for(caller, shown | {"attempt_log": [views.attempt(item) for item in tries]})

    def _entry(self, trigger: TriggerEntry) -> views.Json:
        return views.trigger_entry(trigger) | {"link": self._page_of(trigger)}

    def _page_of(self, trigger: TriggerEntry) -> str | None:
        """Return where Airflow shows its DAG run; None while there is none."""
        if trigger.state is not TriggerState.FIRED:
            return None
        return self._link(trigger.airflow, trigger.dag_id, trigger.dag_run_id)


def _for(caller: Caller, shown: views.Json) -> views.Json:
    """Return what a caller may see of what is stored."""
    return shown if caller.sees_payloads else views.without_payloads(shown)
