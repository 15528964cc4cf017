"""Forms: their fields, and the proof that a page of this console has sent them."""

from __future__ import annotations

import asyncio
from hmac import compare_digest
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from headrace.console.pages import Visitor

FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 64 << 10
FORM_S = 10.0
"""Seconds in which a form has to arrive: also one for the sign-in, whose sender is not known yet."""


class Refusal(Exception):
    """A request that the console does nothing for. Its text says why; `title` is that of the page."""

    def __init__(self, status: HTTPStatus, title: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.title = title


def is_own_form(request: Request) -> bool:
    """Whether a page of this very site sends the request, as far as its browser says."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host", "")


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form. Raises Refusal for what is none, and for one that a page of another site has sent."""
    if not is_own_form(request):
        raise Refusal(
            HTTPStatus.FORBIDDEN, "From another site", "A page of another site has sent this. Nothing was done."
        )
    content = b""
    try:
        async with asyncio.timeout(FORM_S):
            async for part in request.stream():
                content += part
                if len(content) > MAX_FORM_BYTES:
                    raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too long", "No form of the console is so long.")
    except (TimeoutError, ClientDisconnect):
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "Not complete", "The form did not arrive in time.") from None
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
        raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Not a form", f"A form is sent as {FORM}.")
    return dict(parse_qsl(content.decode(errors="replace"), keep_blank_values=True))


async def own_fields(request: Request, visitor: Visitor) -> dict[str, str]:
    """The fields of a form that was made for this visitor. Raises Refusal for any other."""
    fields = await fields_of(request)
    if not compare_digest(fields.get("token", "").encode(), visitor.form_token.encode()):
        text = "This form is of another session. Nothing was done: go back, reload, and send it again."
        raise Refusal(HTTPStatus.FORBIDDEN, "An old form", text)
    return fields
