"""What the demo and the tests ask Airflow's REST API themselves, past the bridge.

Plain httpx against `/api/v2`: a check of the bridge must not go through the bridge's own client.
"""

from types import TracebackType
from typing import Any, Self

import httpx


class AirflowApi:
    """One signed-in user of one Airflow. A context manager; signs in at the first call, and again on a 401."""

    def __init__(self, url: str, *, username: str, password: str) -> None:
        """Name the Airflow (base URL without `/api/v2`) and the user."""
        self._username = username
        self._password = password
        self._client = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; the next call opens new ones only on a new object."""
        self._client.close()

    def token(self) -> str:
        """Sign in and return a new bearer token (a JWT, valid for a day)."""
        credentials = {"username": self._username, "password": self._password}
        answer = self._client.post("/auth/token", json=credentials).raise_for_status()
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one signed-in request below `/api/v2` and return the answer, whatever its status."""
        if "Authorization" not in self._client.headers:
            self._sign_in()
        answer = self._client.request(method, f"/api/v2{path}", **options)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._sign_in()
            answer = self._client.request(method, f"/api/v2{path}", **options)
        return answer

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG is known and its file is still there."""
        answer = self.call("GET", f"/dags/{dag_id}")
        return answer.status_code == httpx.codes.OK and not answer.json()["is_stale"]

    def trigger(self, dag_id: str, dag_run_id: str, conf: dict[str, Any] | None = None) -> httpx.Response:
        """Start a DAG run the way the bridge does, and return the answer, whatever its status."""
        body = {"dag_run_id": dag_run_id, "logical_date": None, "conf": conf or {}}
        return self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)

    def run(self, dag_id: str, dag_run_id: str) -> dict[str, Any] | None:
        """One DAG run as Airflow tells it; None when there is none."""
        answer = self.call("GET", f"/dags/{dag_id}/dagRuns/{dag_run_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return dict(answer.raise_for_status().json())

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Every DAG run of a DAG, oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            page = {"limit": 100, "offset": len(found), "order_by": "id"}
            answer = self.call("GET", f"/dags/{dag_id}/dagRuns", params=page).raise_for_status().json()
            found += answer["dag_runs"]
            if not answer["dag_runs"] or len(found) >= answer["total_entries"]:
                return found

    def delete_run(self, dag_id: str, dag_run_id: str) -> None:
        """Delete one DAG run, which frees its id."""
        self.call("DELETE", f"/dags/{dag_id}/dagRuns/{dag_run_id}").raise_for_status()

    def pause(self, dag_id: str, is_paused: bool) -> None:
        """Pause or unpause a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": is_paused}).raise_for_status()

    def task_log(self, dag_id: str, dag_run_id: str, task_id: str) -> str:
        """The first try's log of one task, as plain lines."""
        path = f"/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/1"
        answer = self.call("GET", path, params={"full_content": True}, headers={"Accept": "application/json"})
        content = answer.raise_for_status().json()["content"]
        return "\n".join(line if isinstance(line, str) else str(line.get("event", "")) for line in content)

    def _sign_in(self) -> None:
        self._client.headers["Authorization"] = f"Bearer {self.token()}"
