"""One outside thing each: the store, Airflow, Planasonix, settings, metrics, logs; each alone imports its library."""
