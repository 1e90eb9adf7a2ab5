"""What the versions of Airflow's REST API differ in, in one table: 3.0 to 3.3, and 2.10 and 2.11.

Within a major version the bridge asks for nothing that differs: the endpoints of DAGs and DAG runs of 2.10.5 are those
of 2.11.2, byte for byte. A name that only an answer spells in another way is read where it is read, under either name
(`dags.facts`, `wire.made_at`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.edges.http import path_segment
from bridge.words.targets import AirflowTarget


@dataclass(frozen=True, slots=True)
class Version:
    """One major version.

    - `password_way`: how user and password sign in, see sign_ins.
    - `stale_too`: what asks for the DAGs that are no longer in their file, too.
    - `made`: when a run was made to run, as the list's filters name it. Airflow 2 has the logical date only, which is
      that instant for a run made by hand.
    - `run_needs`: what the body of a new run has beside its id and conf.
    - `run_page`: where people look at a DAG run, below the Airflow's URL; DAG and run are to be quoted.
    - `is_403_vague`: a wrong password is answered in the same way as a missing right.
    """

    api: str
    health: str
    password_way: str
    stale_too: str
    created_field: str
    run_needs: Mapping[str, object]
    run_page: str
    is_403_vague: bool


# In the order in which they are looked for.
VERSIONS: Mapping[str, Version] = {
    "3": Version(
        api="/api/v2",
        health="/api/v2/monitor/health",
        password_way="login",  # noqa: S106  # nosec B106 - a way, no password
        stale_too="exclude_stale=false",
        created_field="run_after",
        run_needs={"logical_date": None},  # required, and null so that nothing but the id can clash
        run_page="/dags/{dag}/runs/{run}",
        is_403_vague=False,
    ),
    "2": Version(
        api="/api/v1",
        health="/api/v1/health",
        password_way="basic",  # noqa: S106  # nosec B106 - a way, no password
        stale_too="only_active=false",
        created_field="execution_date",
        run_needs={},  # a logical date that is null is refused
        run_page="/dags/{dag}/grid?dag_run_id={run}",
        is_403_vague=True,
    ),
}


def run_url(target: AirflowTarget, known: str | None, dag_id: str, dag_run_id: str) -> str:
    """Return where people look at a DAG run; `known` is the version that was found out, if it was."""
    version = VERSIONS.get(target.version) or VERSIONS[known or "3"]
    return target.url.rstrip("/") + version.run_page.format(dag=path_segment(dag_id), run=path_segment(dag_run_id))
