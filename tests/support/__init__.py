"""The servers and helpers that tests share: a bridge, a real Airflow and PostgreSQL, stand-ins, proxies."""
