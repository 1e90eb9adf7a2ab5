"""The Planasonix to Airflow bridge: a signed webhook in, exactly one DAG run out."""

__version__ = "0.2.0"
