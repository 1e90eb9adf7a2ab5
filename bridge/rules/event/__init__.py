"""What a body says, in one normal form, whatever its spelling.

Pure. `peek_id` is for the way to the commit; `read` and what follows it for after the answer.
"""

from bridge.rules.event.merging import is_of_same_end, merge
from bridge.rules.event.peeking import peek_id
from bridge.rules.event.reading import read
from bridge.rules.event.redacting import Redaction
from bridge.rules.event.spelling import USUAL, Spelling
from bridge.rules.event.statuses import identity, lacks_status, set_aside, tells_of_a_completion

__all__ = [
    "USUAL",
    "Redaction",
    "Spelling",
    "identity",
    "is_of_same_end",
    "lacks_status",
    "merge",
    "peek_id",
    "read",
    "set_aside",
    "tells_of_a_completion",
]
