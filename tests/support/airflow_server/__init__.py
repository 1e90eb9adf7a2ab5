"""A real PostgreSQL and a real Airflow for tests, both on loopback and both gone when the tests are."""

from tests.support.airflow_server.postgres import PostgresServer
from tests.support.airflow_server.server import AirflowServer

__all__ = ["AirflowServer", "PostgresServer"]
