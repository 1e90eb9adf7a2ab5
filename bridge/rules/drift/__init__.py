"""How a source spells its bodies, learned from what it sends, and what of it has changed. Pure; keeps no value.

    1. outline   the paths of one body (`outlines`): keys alone, bounded in depth and number
    2. batch     what one process saw since it last looked (`batches`): counts, and runs of there and not there
    3. learn     the batches of all processes, one after the other, into what is known (`learning`); returns the drift
    4. needing   what a person reads of it

What is known is one small JSON document a source. Types and status words are kept as digests, so neither it nor what is
said of it can hold what a body said.
"""

from bridge.rules.drift.batches import Batch
from bridge.rules.drift.learning import Learned, learn
from bridge.rules.drift.needing import needs

__all__ = ["Batch", "Learned", "learn", "needs"]
