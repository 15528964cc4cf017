"""HTTP/1.1 as uvicorn speaks it, with a limit on heads and trailers and a check of the Host header.

The parser keeps a header until it is complete, however long it is: without a limit a client that has not been
authenticated could fill the memory, and block the event loop while each piece is joined to the last.
"""

from __future__ import annotations

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10
"""Of a request's target and its headers together; also of trailers."""

_RESPONSE = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
_TOO_LARGE = b"431 Request Header Fields Too Large"
_BAD_REQUEST = b"400 Bad Request"
_TOO_LONG = b'{"errorCode":"VALIDATION","errorMessage":"headers: have more than %d bytes"}' % MAX_HEAD_BYTES
_NOT_ONE_HOST = b'{"errorCode":"VALIDATION","errorMessage":"Host: a request has one such header (RFC 9112, 3.2)"}'
_ANOTHER_HOST = b'{"errorCode":"VALIDATION","errorMessage":"Host: is not the host that the request target names"}'


class BoundedProtocol(HttpToolsProtocol):
    """One connection.

    `_pending_bytes`: received since the parser last reported the end of a head or a part of a body, so at most the
    length of an incomplete head or trailer and of one read of the socket. `_is_refused`: a request was refused, and
    nothing that follows it is read.
    """

    _pending_bytes = 0
    _is_refused = False

    def data_received(self, data: bytes) -> None:
        self._pending_bytes += len(data)
        if not self._is_refused:
            super().data_received(data)
        if self._pending_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(_TOO_LARGE, _TOO_LONG)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._pending_bytes = 0

    def on_headers_complete(self) -> None:
        self._pending_bytes = 0
        length, hosts, host = len(self.url), 0, b""
        for name, value in self.headers:
            length += len(name) + len(value)
            if name == b"host":
                hosts += 1
                host = value
        if self._is_refused:
            return
        if length > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE, _TOO_LONG)
            self.transport.close()
        elif hosts > 1 or (hosts == 0 and self.parser is not None and self.parser.get_http_version() == "1.1"):
            self._refuse(_BAD_REQUEST, _NOT_ONE_HOST)
        elif self.url[:1] not in (b"/", b"*") and _authority(self.url) != host.strip().lower():
            self._refuse(_BAD_REQUEST, _ANOTHER_HOST)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._pending_bytes = 0
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._is_refused:
            super().on_message_complete()

    def _refuse(self, status: bytes, envelope: bytes) -> None:
        """Earlier requests on this connection are answered first; then it closes, without a response to this one."""
        self._is_refused = True
        if self.cycle and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.transport.write(_RESPONSE % (status, len(envelope), envelope))
            self.transport.close()


def _authority(target: bytes) -> bytes:
    """The host and port of a request target in absolute form, which counts in place of Host (RFC 9112, 3.2.2)."""
    return re.split(rb"[/?#]", target.partition(b"://")[2], maxsplit=1)[0].lower()
