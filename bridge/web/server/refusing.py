"""What a request that is no proper HTTP/1.1 is told, and how the parser is stopped in the middle of it."""

from typing import NoReturn

_BODY = b'{"error": "bad_request"}'
BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
    % (len(_BODY), _BODY)
)


class Refused(Exception):
    """Raised in a callback to end the parsing; httptools wraps it."""


class _NoTrailers(list[tuple[bytes, bytes]]):
    def append(self, _: tuple[bytes, bytes]) -> NoReturn:
        """Refuse it."""
        raise Refused("trailers")


# Stands where the headers stood once they are complete: what follows the body is none of them.
NO_TRAILERS = _NoTrailers()
