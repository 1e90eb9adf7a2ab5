"""Whether what was received may name a pipeline id that holds one of some texts, told from its bytes alone. Pure.

A pipeline id is of ASCII letters, digits and `_.:-` (`event/grammar`). It stands in the body, in the API's answer to a
look-up, or in the URL, as a JSON text or a whole number. JSON spells such a letter as itself or as `\\u00..`, and a
whole number by its digits. So an id that is in there is seen, or such an escape is. No other field is as certain: a
name that cannot be read fails the route, instead of not matching it.
"""

import re
from collections.abc import Callable
from functools import lru_cache

ESCAPE = "\\u00"
_ESCAPED = ESCAPE.encode()
_FEW = 8  # up to here it is faster to look for one after the other


def mentions(texts: frozenset[str], *, body: bytes, url_pipeline: str | None, lookup: str | None) -> bool:
    """Return False only if no pipeline id in these holds any of the texts. `lookup`: the API's answer, as JSON."""
    places = [body, *(place.encode("utf-8", "replace") for place in (url_pipeline, lookup) if place is not None)]
    if any(_ESCAPED in place for place in places):
        return bool(texts)
    return any(map(_looking_for(texts), places))


@lru_cache(maxsize=8)
def _looking_for(texts: frozenset[str]) -> Callable[[bytes], object]:
    """Return a function that is true for what holds one of the texts."""
    words = [text.encode() for text in sorted(texts)]
    if len(words) > _FEW:
        return re.compile(b"|".join(map(re.escape, words))).search
    return lambda place: any(word in place for word in words)
