"""One Airflow as the bridge sees it."""
