"""Whether what was received may name a pipeline id that holds one of some texts, told from its bytes alone. Pure.

A pipeline id is of ASCII letters, digits and `_.:-` (`event/grammar`). It stands in the body, in the API's answer to a
look-up, or in the URL, as a JSON text or a whole number. JSON spells such a letter as itself or as `\\u00..`, and a
whole number by its digits. So an id that is in there is seen, or such an escape is. No other field is as certain: a
name that cannot be read fails the route, instead of not matching it.
"""

from collections.abc import Collection

ESCAPE = "\\u00"


def mentions(texts: Collection[str], *, body: bytes, url_pipeline: str | None, lookup: str | None) -> bool:
    """Return False only if no pipeline id in these holds any of the texts. `lookup`: the API's answer, as JSON."""
    if ESCAPE.encode() in body or (lookup is not None and ESCAPE in lookup):
        return bool(texts)
    return any(
        text.encode() in body
        or (url_pipeline is not None and text in url_pipeline)
        or (lookup is not None and text in lookup)
        for text in texts
    )
