"""HTTP/1.1 as uvicorn speaks it, with a limit on what comes before and between the parts of a body.

The parser keeps a header until it has all of it, however long that is, and says nothing meanwhile: without a limit a
caller whom nobody has admitted yet could fill the memory, and hold everybody up while each piece is joined to the last.
"""

from __future__ import annotations

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10
"""Of a request's first line and its headers together; also of trailers."""

_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
)
_ENVELOPE = b'{"errorCode":"VALIDATION","errorMessage":"headers: have more than %d bytes"}' % MAX_HEAD_BYTES


_HOST_ENVELOPE = b'{"errorCode":"VALIDATION","errorMessage":"Host: a request has one such header (RFC 9112, 3.2)"}'
_TARGET_ENVELOPE = b'{"errorCode":"VALIDATION","errorMessage":"Host: is not the host that the request target names"}'
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
)


class BoundedProtocol(HttpToolsProtocol):
    """`_hosts`: Host headers of the head at hand, `_host`: the latest of them. `_is_refused`: the head was wrong, and
    nothing more is read. `_head_bytes`: of the head at hand. `_silent_bytes`: fed to the parser since it last gave
    anything back.
    """

    _head_bytes = 0
    _silent_bytes = 0
    _hosts = 0
    _host = b""
    _is_refused = False

    def data_received(self, data: bytes) -> None:
        self._silent_bytes += len(data)
        if self._head_bytes <= MAX_HEAD_BYTES and not self._is_refused:
            super().data_received(data)
        if max(self._head_bytes, self._silent_bytes) > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._silent_bytes = self._hosts = 0
        self._host = b""

    def on_url(self, url: bytes) -> None:
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value))
        if name.lower() == b"host":
            self._hosts += 1
            self._host = value
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._silent_bytes = 0
        if self._hosts > 1 or (
            self._hosts == 0 and self.parser is not None and self.parser.get_http_version() == "1.1"
        ):
            self._refuse_head(_HOST_ENVELOPE)
        elif self._is_readable() and self._names_another_host():
            self._refuse_head(_TARGET_ENVELOPE)
        elif self._is_readable():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        if self._is_readable():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_readable():
            super().on_message_complete()

    def _grow(self, length: int) -> None:
        self._silent_bytes = 0
        self._head_bytes += length

    def _is_readable(self) -> bool:
        return self._head_bytes <= MAX_HEAD_BYTES and not self._is_refused

    def _names_another_host(self) -> bool:
        """Whether the target is a whole URL of another host, which counts in place of Host (RFC 9112, 3.2.2)."""
        if self.url[:1] in (b"/", b"*"):
            return False
        authority = re.split(rb"[/?#]", self.url.partition(b"://")[2], maxsplit=1)[0]
        return authority.lower() != self._host.strip().lower()

    def _refuse_head(self, envelope: bytes) -> None:
        """Requests before it on this connection are answered first, then it is closed without an answer to this one."""
        self._is_refused = True
        if not self.cycle or self.cycle.response_complete:
            self.transport.write(_BAD_REQUEST % (len(envelope), envelope))
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def _refuse(self) -> None:
        if not self.cycle or self.cycle.response_complete:
            self.transport.write(_REFUSAL % (len(_ENVELOPE), _ENVELOPE))
        self.transport.close()
