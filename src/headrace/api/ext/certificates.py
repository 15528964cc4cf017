"""Certificates: signed statements that the books show a case as its history records it, and the keys to check them."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from headrace import json_text
from headrace.api.context import Context
from headrace.api.ext import schemas
from headrace.api.idempotency import answer_response, caller_of
from headrace.api.operations import READ, Operation
from headrace.api.requests import Request, json_value, with_canonical_ids
from headrace.api.responses import Response, json_response
from headrace.clock import date_time
from headrace.journal.records import Certificate
from headrace.usecases.certificates import make_certificate, published_keys, read_certificate
from headrace.usecases.period_certificates import is_of_period, make_period_certificate

TAG = "Certificates"
EXAMPLE = {"instance": "INSTANCE"}


async def create(context: Context, request: Request) -> Response:
    body = await request.body(context.settings.max_body_bytes)
    wanted = with_canonical_ids(json_value(request, body) if body else None, "instance")
    caller = caller_of(request, body, wanted)
    if is_of_period(wanted):
        answer = await make_period_certificate(context.ports, caller, wanted)
    else:
        answer = await make_certificate(context.ports, caller, wanted, context.authenticator.name_of)
    return answer_response(answer, 201, _shown)


async def show(context: Context, request: Request) -> Response:
    return json_response(200, _shown(await read_certificate(context.ports, request.params["certificateID"])))


async def show_keys(context: Context, _request: Request) -> Response:
    keys = await published_keys(context.ports)
    return json_response(200, json_text.encode(schemas.CertificateKeys(keys=keys)))


def _shown(row: Certificate) -> bytes:
    from headrace.certificates.envelope import payload_of  # a signature library

    shown = schemas.Certificate(
        id=row.id,
        subject=msgspec.json.decode(row.subject, type=schemas.CertificateSubject),
        sha=row.sha,
        kid=row.kid,
        created_at=date_time(row.created_at),
        certificate=row.content,
        payload=cast("dict[str, Any]", msgspec.Raw(payload_of(row.content))),  # that of a period may have megabytes
    )
    return json_text.encode(schemas.CertificateResponse(data=shown))


OPERATIONS = (
    Operation(
        method="POST",
        path="/ext/certificates",
        operation_id="createCertificate",
        scope=READ,
        handler=create,
        tag=TAG,
        summary="Certify a case or a period",
        description=(
            "With `instance`: checks a case, which has ended, against its definition and the books of the services, "
            "by new look-ups; then signs what they show, and stores it. Books nothing.\n\n"
            "Refused with 409, and `details.reason`: `open` (an instance has not ended, or an effect is in progress), "
            "`replay_differs` (the definition does not lead to the recorded effects), `not_in_books` (an effect is "
            "recorded as done, and its service does not show it), `differs` (the service shows other values), "
            "`reverted_elsewhere` (a transaction was reverted, and not by this case), `extra_in_books` (something "
            "stands in the books that is not recorded as done), `unbalanced` (money went in on a bridge, and neither "
            "came out nor is declared).\n\n"
            "With `from` and `to`: checks so each case that ended in this period, which begins with `from` and ends "
            "before `to`. The certificate has a line for each, with the hash of what its own certificate states; their "
            "sums; the certificate of the period before; and, declared, the cases that had not ended at `to`. A case "
            "that cannot be certified refuses the period with its reason, and `details.case`. With `full`, every "
            "transaction of the ledgers in this period whose reference begins with `headrace:` must be an effect of a "
            "case. A period with more than 10,000 cases, or that takes more than 50 seconds, is refused with 400 and "
            "`too_large`: take a shorter one."
        ),
        status=201,
        response=schemas.CertificateResponse,
        body=schemas.CertificateRequest,
        example=EXAMPLE,
        takes_key=True,
        errors=(400, 404, 409, 413, 415, 503),
    ),
    Operation(
        method="GET",
        path="/ext/certificates/{certificateID}",
        operation_id="getCertificate",
        scope=READ,
        handler=show,
        tag=TAG,
        summary="Read a certificate",
        response=schemas.CertificateResponse,
        errors=(404, 503),
    ),
    Operation(
        method="GET",
        path="/ext/certificate-keys",
        operation_id="getCertificateKeys",
        scope=None,
        handler=show_keys,
        tag=TAG,
        summary="Read the keys of certificates",
        description=(
            "All public keys that have ever signed certificates, as a JWKS. Needs no token: pin the document "
            "once, over a connection that you trust, and check certificates with it offline."
        ),
        response=schemas.CertificateKeys,
    ),
)
