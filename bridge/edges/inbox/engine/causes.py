"""Names what a database complains of, in its own words and without the statement, its values or a password."""

from typing import Any

from sqlalchemy.exc import DBAPIError

_LONGEST = 300


def cause(error: BaseException) -> str:
    """Return one line; PostgreSQL's DETAIL quotes rows, so only its first sentence is taken."""
    original: Any = error.orig if isinstance(error, DBAPIError) else error
    message = getattr(getattr(original, "diag", None), "message_primary", None) or str(original)
    return f"{type(original).__name__}: {' '.join(message.split())}"[:_LONGEST]
