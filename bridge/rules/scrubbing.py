"""Takes out of a library's message what may be secret, before anybody is shown it. Pure.

Rule: no message of a library is shown as it is. It may hold the URL that it was given, or the header.
"""

import re
from collections.abc import Iterable

_MASK = "***"
_PATTERNS = (
    (re.compile(r"(?<=://)[^/\s]*@"), f"{_MASK}@"),
    (re.compile(r"\b(bearer|basic)\s+[^\s,;'\"]+", re.IGNORECASE), rf"\1 {_MASK}"),
    (re.compile(r"whsec_[^\s,;'\"]+"), _MASK),
    (
        re.compile(
            r"\b(\w*(?:password|passwd|secret|token|api_?key))(\s*[=:]\s*|'\s*:\s*)('[^']*'|\"[^\"]*\"|[^\s,;&]+)",
            re.IGNORECASE,
        ),
        rf"\1\2{_MASK}",
    ),
)
_MIN_LENGTH = 6  # a shorter one is part of half the words there are


def scrub(message: str, secrets: Iterable[str] = ()) -> str:
    """Return the message without these secrets, and without what looks like one."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _MIN_LENGTH:
            message = message.replace(secret, _MASK)
    for pattern, instead in _PATTERNS:
        message = pattern.sub(instead, message)
    return message
