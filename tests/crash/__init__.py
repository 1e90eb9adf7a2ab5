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
is without a delivery, nothing waits any more, and `verify`, the bridge's own judge, finds nothing off. The same seed
gives the same plan; the moments differ by what the machine does meanwhile. A round that failed says how to run it
again.

Clocks are set by libfaketime (Debian's package `faketime`), whose offset is a file; without it the rounds that set a
clock are left out, which is said. A full disk is a tmpfs of 24 MiB with a file that fills it; where none may be
mounted (it takes root), a limit on the size of files that is set from outside (RLIMIT_FSIZE).
"""
