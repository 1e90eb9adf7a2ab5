"""A request that offers another protocol (`Upgrade: h2c`, `TLS/1.2`, `websocket`) is answered as plain HTTP/1.1.

An offer may be ignored (RFC 9110, 7.8), and Java's and Apache's clients make one with every webhook. httptools however
stops at one and skips its body. So its head is spelled once more without the offer, from what the parser has read,
and a new parser reads it and the rest. The rule: the only thing that an offer changes is that the connection ends
with the answer, so that nothing behind it is ever read as another protocol or as another request.
"""

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# HTTP2-Settings belongs to the offer; Connection names headers of this hop alone, which nothing here reads.
_OF_THE_OFFER = frozenset({b"connection", b"upgrade", b"http2-settings"})


def is_offer(protocol: HttpToolsProtocol) -> bool:
    """Whether the request at hand offers another protocol, and is valid without; CONNECT is no offer."""
    return protocol.parser.should_upgrade() and protocol.parser.get_method() != b"CONNECT"


def parse(protocol: HttpToolsProtocol, data: bytes) -> None:
    """Feed the parser; raises HttpParserError for what is no HTTP/1.1."""
    try:
        protocol.parser.feed_data(data)
    except httptools.HttpParserUpgrade as offer:
        head = _without_offer(protocol)
        protocol.parser = httptools.HttpRequestParser(protocol)
        protocol.parser.feed_data(head)
        protocol.parser.feed_data(data[offer.args[0] :])


def _without_offer(protocol: HttpToolsProtocol) -> bytes:
    version = protocol.parser.get_http_version().encode()
    first = b"%s %s HTTP/%s\r\n" % (protocol.parser.get_method(), protocol.url, version)
    kept = [b"%s: %s\r\n" % header for header in protocol.headers if header[0] not in _OF_THE_OFFER]
    return b"".join((first, *kept, b"connection: close\r\n\r\n"))
