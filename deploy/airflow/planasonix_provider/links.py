"""The button on a task that opens its run in Planasonix."""

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

RUN_ID_KEY = "planasonix_run_id"
STARTED_KEY = "planasonix_started_run_id"  # the same id, where the task itself has started the run
RUN_URL_KEY = "planasonix_run_url"


class PlanasonixRunLink(BaseOperatorLink):  # type: ignore[misc, unused-ignore]
    """Leads to the run. The address is in XCom from the start of the run on, so it works while the task waits."""

    name = "Planasonix run"

    @property
    def xcom_key(self) -> str:
        """Where Airflow 3 finds the address."""
        return RUN_URL_KEY

    def get_link(self, operator: "BaseOperator", *, ti_key: "TaskInstanceKey", **_: Any) -> str:  # noqa: ARG002 - theirs
        """Return the address; empty before there is a run."""
        return XCom.get_value(ti_key=ti_key, key=RUN_URL_KEY) or ""
