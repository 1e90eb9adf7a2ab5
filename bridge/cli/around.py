"""What `why` needs beside the store, as the files here have it: the sources, the mapping, and where Airflow shows runs.

Each file is read when it is asked for: most commands need none of them. None of it needs a secret.
"""

from functools import cache

from bridge.cli import context
from bridge.edges.inbox import Inbox
from bridge.edges.settings import Config, Environment
from bridge.flows.explaining import Around
from bridge.rules.planning import Plan
from bridge.words.errors import ConfigError
from bridge.words.model import Delivery


def around(settings: Environment, inbox: Inbox) -> Around:
    """Return it; its `plan` raises ConfigError where no mapping can be read."""

    @cache
    def config() -> Config | None:
        return context.configuration_if_there(settings)

    def plan(delivery: Delivery) -> Plan:
        from bridge.flows.routing.tracing import plan_traced
        from bridge.rules.event import USUAL
        from bridge.rules.planning import Subject

        found = config()
        mapping = context.mapping(settings.mapping, found, pages_url=settings.public_admin_url)
        source = None if found is None else found.sources.get(delivery.source)
        about = Subject.of(delivery, spelling=source.spelling if source else USUAL)
        return plan_traced(inbox, about, mapping, max_hops=settings.max_hops)

    def link(airflow: str, dag_id: str, dag_run_id: str | None) -> str | None:
        from bridge.edges.airflow.versions import run_url

        try:
            found = config()
        except ConfigError:
            return None
        target = None if found is None else found.airflows.get(airflow)
        return None if target is None or not dag_run_id else run_url(target, None, dag_id, dag_run_id)

    return Around(context.sources(settings), plan, link, context.spelling_of(settings))
