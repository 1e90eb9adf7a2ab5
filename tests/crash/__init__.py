"""The proof of the promise: real processes, broken on purpose, and three lists compared.

A round starts one to three replicas on a store of its own, before a stand-in for Airflow that is a process of its own,
sends signed webhooks with known ids at a set rate, does one or two faults at instants drawn from the seed, lets the
system recover, and compares

    what was answered 2xx        tests.crash.sending
    what the store holds         read beside the bridge, not through it
    what Airflow was asked for   the stand-in's journal, which outlives a kill -9

It passes if every acknowledged delivery has exactly its runs, no run is without a delivery, no trigger waits any
more, and every trigger was settled once.

    make crash ROUNDS=1000 SEED=7      all faults, alone and in pairs; prints totals, and the seed of every failure
    make crash ROUNDS=1 SEED=1234      one round again, with the same faults at the same instants

Round i of a run has the seed SEED + i, and the seed alone decides the store, the number of replicas and the faults
(STORE=sqlite or postgresql narrows the choice, so give it again when running a seed again). Consecutive seeds go
through every fault alone on each store first, then through the pairs: 273 of them are all there are.

    plans      what a seed means                     system     the processes of one round
    faults     how each fault is done and undone     sending    the webhooks and what was answered
    audit      the three lists                       rounds     one round; many; totals

Clocks are moved by libfaketime (Debian's package `faketime`), whose offset is a file; without it those rounds are left
out, and the totals say so. A full disk is a tmpfs of 8 MB with a file that fills it, or where mounting is not
allowed, a limit on the size of files (RLIMIT_FSIZE) set from outside; the totals say which.
"""
