"""The token endpoint, discovery and signing keys over HTTP; `headrace.auth.oauth` has the rules."""

from __future__ import annotations

import math
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace import json_text
from headrace.api.context import Context
from headrace.api.operations import Operation
from headrace.api.requests import Request
from headrace.api.responses import Headers, Response, json_response
from headrace.auth.oauth import KEYS_PATH, TOKEN_PATH, Asked, Refused, TooManyFailures
from headrace.errors import NotFound

TAG = "Server"
GATEWAY = "/api/auth"
FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 16_384
MAX_FIELDS = 50


class TokenRequest(msgspec.Struct, omit_defaults=True):
    """OAuth2 client credentials. Id and secret may be sent by HTTP Basic instead."""

    grant_type: Annotated[str, Meta(examples=["client_credentials"])] | UnsetType = UNSET
    client_id: str | UnsetType = UNSET
    client_secret: str | UnsetType = UNSET
    scope: Annotated[str, Meta(description="All scopes of the client, if left out.")] | UnsetType = UNSET


class TokenResponse(msgspec.Struct, omit_defaults=True):
    """A token, its lifetime and its scopes."""

    access_token: str
    token_type: Annotated[str, Meta(examples=["bearer"])]
    expires_in: Annotated[int, Meta(ge=1, description="Seconds.")]
    scope: str | UnsetType = UNSET


class OAuthError(msgspec.Struct):
    """The error of OAuth2, in place of a token."""

    error: str
    error_description: str


_NO_STORE: Headers = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
_SHORTLY: Headers = ((b"cache-control", b"public, max-age=300"),)
_STATUSES = {"invalid_client": 401, "slow_down": 429}


async def token(context: Context, request: Request) -> Response:
    form = await _form(request)
    credentials = [value for name, value in request.all_headers if name == b"authorization"]
    address = request.client[0] if request.client else ""
    try:
        granted = await context.authenticator.authority.grant(Asked(form, credentials, address))
    except Refused as error:
        return _refusal(error)
    scope = UNSET if granted.scope is None else granted.scope
    answer = TokenResponse(granted.token, "bearer", granted.life_s, scope)
    return json_response(200, json_text.encode(answer), _NO_STORE)


async def _form(request: Request) -> dict[str, list[str]]:
    """The fields of the form; none where the body is no form, so that the authority names what is missing."""
    body = await request.body(MAX_FORM_BYTES)
    if body and request.media_type() != FORM:
        return {}
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}


def _refusal(error: Refused) -> Response:
    """The error in the form of OAuth2, not in that of the API."""
    headers = _NO_STORE
    if isinstance(error, TooManyFailures):
        headers = (*headers, (b"retry-after", b"%d" % max(1, math.ceil(error.wait_s))))
    if error.code == "invalid_client":
        headers = (*headers, (b"www-authenticate", b'Basic realm="headrace"'))
    body = json_text.encode(OAuthError(error.code, str(error).encode(errors="replace").decode()))
    return json_response(_STATUSES.get(error.code, 400), body, headers)


async def discovery(context: Context, request: Request) -> Response:
    found = context.authenticator.authority.metadata()
    if found is None:
        raise NotFound("discovery document", "of a server that accepts the tokens of another issuer")
    return json_response(200, json_text.encode(found), _SHORTLY)


async def keys(context: Context, request: Request) -> Response:
    return json_response(200, json_text.encode(context.authenticator.authority.jwks()), _SHORTLY)


def _token(path: str, operation_id: str) -> Operation:
    return Operation(
        method="POST",
        path=path,
        operation_id=operation_id,
        scope=None,
        handler=token,
        tag=TAG,
        summary="Get a token",
        description=(
            "OAuth2 client credentials, in the form or by HTTP Basic. A server without authentication accepts any."
        ),
        response=TokenResponse,
        body=TokenRequest,
        body_media_types=(FORM,),
        is_body_required=False,
        errors=(400, 401, 413, 415, 429),
        refusal=OAuthError,
    )


OPERATIONS = (
    _token(TOKEN_PATH, "getToken"),
    _token(GATEWAY + TOKEN_PATH, "getGatewayToken"),
    Operation(
        method="GET",
        path=f"{GATEWAY}/.well-known/openid-configuration",
        operation_id="getOpenIdConfiguration",
        scope=None,
        handler=discovery,
        tag=TAG,
        summary="Discover the token endpoint",
        response=dict[str, str | list[str]],
        errors=(404,),
    ),
    Operation(
        method="GET",
        path=GATEWAY + KEYS_PATH,
        operation_id="getKeys",
        scope=None,
        handler=keys,
        tag=TAG,
        summary="Read the keys that sign tokens",
        description="A JSON Web Key Set.",
        response=dict[str, list[dict[str, Any]]],
        errors=(),
    ),
)
