"""Runs in Airflow's own Python, beside the provider's wheel, and does what `airflow_python` asks for, line by line.

It imports nothing of this repository. A request is `{"code": ..., "names": {...}}` on standard input: the code is
executed, and what it puts into `result` goes back, as JSON, through the file descriptor that is the first argument.
"""

import importlib.util
import json
import os
import sys
import traceback
from operator import attrgetter
from pathlib import Path
from typing import Any


def run_dag(text: str, *, dag_id: str, conf: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    """Write a DAG file, run the DAG as `airflow dags test` does, and tell what became of its tasks."""
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    for old in folder.glob("*.py"):
        old.unlink()
    path = folder / f"{dag_id}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(f"dag_of_a_test_{dag_id}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    run = _tested(module.dag, run_conf=conf, **options)
    found = {}
    for instance in run.get_task_instances():
        state = None if instance.state is None else str(getattr(instance.state, "value", instance.state))
        found[instance.task_id] = {"state": state, "try_number": instance.try_number, **_kept(instance)}
    return {"state": str(getattr(run.state, "value", run.state)), "run_id": run.run_id, "tasks": found}


def _tested(dag: Any, **options: Any) -> Any:
    """Run the DAG; that of Airflow 2 lets a task's timeout through, after it has failed the task."""
    try:
        return dag.test(**options)
    except BaseException as error:
        if type(error).__name__ != "AirflowTaskTimeout":
            raise
    from airflow.models.dagrun import DagRun

    return DagRun.find(dag_id=dag.dag_id)[-1]


def _kept(instance: Any) -> dict[str, Any]:
    """Return what Airflow's database keeps of a task and shows to people."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.utils.session import create_session

    try:
        from airflow.models.xcom import XComModel as XCom

        read = XCom.deserialize_value
    except ImportError:
        from airflow.models.xcom import XCom

        read = attrgetter("value")
    same = {"dag_id": instance.dag_id, "task_id": instance.task_id, "run_id": instance.run_id}
    with create_session() as session:
        xcom = {row.key: read(row) for row in session.query(XCom).filter_by(**same)}
        rendered = session.query(RenderedTaskInstanceFields).filter_by(**same).first()
        return {"xcom": xcom, "rendered": rendered.rendered_fields if rendered else {}}


def main() -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(int(sys.argv[1]), "w")
    names: dict[str, Any] = {"run_dag": run_dag}
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        scope = dict(names, **request["names"], result=None)
        try:
            exec(request["code"], scope)  # noqa: S102 - a test's own code
            answer = {"result": scope["result"]}
        except BaseException:  # noqa: BLE001 - whatever it was, the test is told
            answer = {"error": traceback.format_exc()}
        sys.stdout.flush()
        print(json.dumps(answer, default=str), file=answers, flush=True)


if __name__ == "__main__":
    main()
