"""The proof: webhooks at a set rate, one or two things broken at a random instant, and three lists compared after.

    make crash ROUNDS=1000 SEED=1            the long form; `make test` runs 40 rounds and more
    python -m tests.crash --seed 17 --rounds 1 [--store sqlite|postgresql] [--fault kill_bridge]    one round again

A round (rounds.py) starts a world of its own (world.py): a stand-in for Airflow as its own process, a lossy proxy
before it, one bridge on SQLite or one to three on PostgreSQL. Webhooks with known ids go in, retried as a sender does
until they are answered with 2xx. Faults (faults.py) break something, and mend it again. When everything has settled:

    acknowledged   every event that was answered 2xx, with its delivery id
    stored         every delivery and trigger in the store
    asked for      every DAG run that Airflow has

A round has passed when each acknowledged event is stored once and has exactly the runs that its triggers say, no run
is without a delivery, and nothing waits any more. The same seed gives the same plan; the moments differ by what the
machine does meanwhile.
"""
