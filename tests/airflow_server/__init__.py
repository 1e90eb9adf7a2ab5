"""A real PostgreSQL and a real Airflow for tests, both on loopback and both gone when the tests are."""

from tests.airflow_server.postgres import PostgresServer
from tests.airflow_server.server import AirflowServer

__all__ = ["AirflowServer", "PostgresServer"]
