"""Coverage-guided fuzzing of what strangers, senders and mapping authors can write. `make fuzz SECONDS=600`.

    targets.py      the five targets: a function of bytes each, that raises AssertionError (or anything) on a defect
    application.py  the sixth: the public listener's whole ASGI app on a real store, routing included
    seeds.py        what fuzzing begins with, made of the documented events and mappings
    __main__.py     runs each target in a process of its own under Atheris (libFuzzer), and adds up what came of it
    corpus/         inputs that once broke something, a folder per target; `make test` runs each of them again

Inputs that reach new code are kept below .cache/fuzz, so that the next run goes on from there. A target is a property
that must hold for every input, never a comparison with what the code did yesterday.
"""
