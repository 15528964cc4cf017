"""Payments: payments read, transfers initiated. It takes no idempotency key: initiations are settled by look-ups."""

from __future__ import annotations

import contextlib
import re
from typing import Any, cast
from urllib.parse import unquote

from headrace.effects.port import (
    Absent,
    Done,
    Found,
    FoundOther,
    LookUp,
    Outcome,
    Refused,
    Request,
    Response,
    Search,
    Undecided,
)
from headrace.effects.wire import (
    MAX_LOOK_UP_PAGES,
    Intent,
    Page,
    Preparer,
    Reader,
    Searcher,
    Unreadable,
    canonical,
    expect_status,
    foreign_id,
    idempotency_key,
    is_integer,
    loose_text,
    matching,
    members_of,
    moment_in,
    natural_of,
    object_of,
    objects_of,
    page_of,
    path_part,
    query_part,
    service_error,
    sorted_map,
    stored,
    string_map,
    text_of,
    unknown,
)
from headrace.errors import InvalidValue
from headrace.money import asset_name, exact_amount
from headrace.workflows.activities import CreateTransferInitiation, GetPayment, Json
from headrace.workflows.durations import moment_text
from headrace.workflows.variables import check_text

REFUSALS = frozenset({"CONFLICT", "INVALID_ID", "MISSING_OR_INVALID_BODY", "NOT_FOUND", "VALIDATION"})
DEFAULT_DESCRIPTION = "Transfer by Headrace"
INITIATIONS_PAGE = 100
KEY_PREFIX = "headrace:"
MAX_RAW_BYTES = 256 << 10

# The orchestration schema's closed lists; payments knows more.
PROVIDERS = frozenset(
    {"STRIPE", "DUMMY-PAY", "WISE", "MODULR", "CURRENCY-CLOUD", "BANKING-CIRCLE", "MANGOPAY", "MONEYCORP"}
)
TYPES = frozenset({"PAY-IN", "PAYOUT", "TRANSFER", "OTHER"})
STATUSES = frozenset({"PENDING", "ACTIVE", "TERMINATED", "FAILED", "SUCCEEDED", "CANCELLED"})
SCHEMES = frozenset(
    {
        "visa",
        "mastercard",
        "amex",
        "diners",
        "discover",
        "jcb",
        "unionpay",
        "sepa debit",
        "sepa credit",
        "sepa",
        "apple pay",
        "google pay",
        "a2a",
        "ach debit",
        "ach",
        "rtp",
        "unknown",
        "other",
    }
)
_PROVIDER = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


# requests


def get_payment(activity: GetPayment, _intent: Intent) -> Request:
    return Request("payments", "GET", f"/payments/{path_part(activity.id, 'id')}")


def create_transfer_initiation(activity: CreateTransferInitiation, intent: Intent) -> Request:
    """Build the request of a payout or transfer, with the key as its reference."""
    if activity.type not in ("TRANSFER", "PAYOUT"):
        raise InvalidValue("type", "must be TRANSFER or PAYOUT")
    if not _PROVIDER.fullmatch(activity.provider):
        raise InvalidValue("provider", "must be the name of a payment provider, such as STRIPE")
    body: Json = {
        "reference": idempotency_key(intent.key),
        "scheduledAt": moment_text(intent.started_at),
        "description": check_text(activity.description, "description") or DEFAULT_DESCRIPTION,
        "sourceAccountID": "" if activity.source is None else foreign_id(activity.source, "source"),
        "destinationAccountID": foreign_id(activity.destination, "destination"),
        "type": activity.type,
        "amount": exact_amount(activity.amount),
        "asset": asset_name(activity.asset, "asset"),
        "validated": not activity.waiting_validation,
        "provider": activity.provider.upper(),
    }
    if activity.connector_id is not None:
        body["connectorID"] = foreign_id(activity.connector_id, "connectorID")
    if activity.metadata:
        body["metadata"] = sorted_map(activity.metadata, "metadata")
    return Request("payments", "POST", "/transfer-initiations", canonical(body))


# look-ups


def search_initiation(request: Request) -> Search:
    """Ours is found by its reference; it is absent only where the service itself shows that nothing was left out.

    That is so when the whole list has been read, or when the filter gave nothing for our reference and is seen to work:
    it finds another initiation of Headrace that is not on the first page. No time is compared, since our clock and that
    of payments may differ.
    """
    reference = stored(request)["reference"]
    response = yield _filtered(request, reference)
    gives_nothing = False
    error = service_error(response) if response.status == 400 else None
    is_filter_refused = error is not None and error.code in REFUSALS
    if not is_filter_refused:
        if response.status != 200:
            return unknown(request, response)
        page = page_of(response)
        if (item := _with_reference(page, reference)) is not None:
            return _compared(request, item)
        gives_nothing = not page.items and not page.has_more

    question = f"{request.path}?pageSize={INITIATIONS_PAGE}"
    cursors: set[str] = set()
    seen = 0
    while len(cursors) < MAX_LOOK_UP_PAGES:
        response = yield Request("payments", "GET", question)
        if response.status != 200:
            return unknown(request, response)
        page = page_of(response)
        seen += len(page.items)
        if (item := _with_reference(page, reference)) is not None:
            return _compared(request, item)
        if not page.has_more:
            return Absent()
        if gives_nothing and cursors and (known := _another_of_headrace(page)) is not None:
            response = yield _filtered(request, known)
            if _shows_only(response, known):
                return Absent()
            gives_nothing = False  # it gives nothing whatever it is asked for
        if page.next is None or page.next in cursors:
            break
        cursors.add(page.next)
        question = f"{request.path}?cursor={query_part(page.next)}"
    return Undecided(
        f"payments: not among the {seen} transfer initiations that were listed first, and the service does not filter "
        "them by reference"
    )


def _filtered(request: Request, reference: str) -> Request:
    return Request("payments", "GET", f"{request.path}?query={matching(reference)}")


def _with_reference(page: Page, reference: str) -> Json | None:
    return next((item for item in page.items if item.get("reference") == reference), None)


def _another_of_headrace(page: Page) -> str | None:
    """A reference of the same form as ours: a filter that cannot take the form finds none of them."""
    references = (loose_text(item.get("reference")) for item in page.items)
    return next((reference for reference in references if reference.startswith(KEY_PREFIX)), None)


def _shows_only(response: Response, reference: str) -> bool:
    """Whether the filter picked what has this reference, and left all else out."""
    if response.status != 200:
        return False
    try:
        page = page_of(response)
    except Unreadable:
        return False
    return bool(page.items) and not page.has_more and all(item.get("reference") == reference for item in page.items)


def _compared(request: Request, item: Json) -> LookUp:
    differing = list(differences(stored(request), item))
    if not differing:
        return Found()
    text = ", ".join(differing)
    return FoundOther(f"transfer initiation {item.get('id')} stands under our reference with another {text}")


def differences(body: Json, item: Json) -> list[str]:
    booked = item.get("initialAmount") if is_integer(item.get("initialAmount")) else item.get("amount")
    pairs: dict[str, tuple[Any, Any]] = {
        "amount": (body["amount"], booked),
        "asset": (body["asset"], item.get("asset")),
        "destination": (body["destinationAccountID"], item.get("destinationAccountID")),
        "source": (body["sourceAccountID"], item.get("sourceAccountID") or ""),
        "type": (body["type"], item.get("type")),
    }
    if not body["sourceAccountID"]:  # payments may have filled in the connector's own account
        del pairs["source"]
    return [name for name, (ours, theirs) in pairs.items() if ours != theirs]


# answers


def payment_of(data: Json, *, with_raw: bool = True) -> Json:
    """The payments service's payment as the orchestration schema has it: closed lists, no null, no surprises."""
    # Adjustments only inform: one that cannot be read is left out.
    adjustments: list[Json] = []
    for item in objects_of(data.get("adjustments"), "adjustments"):
        if not is_integer(item.get("amount")):
            continue
        with contextlib.suppress(Unreadable):
            adjustment: Json = {
                "status": _status(item.get("status")),
                "amount": item["amount"],
                "date": moment_in(item.get("createdAt", item.get("date")), "createdAt"),
                "raw": _raw(item.get("raw")) if with_raw else {},
                "absolute": item.get("absolute") is True,
            }
            adjustments.append(adjustment)

    payment: Json = {
        "id": text_of(data.get("id"), "id"),
        "reference": loose_text(data.get("reference")),
        "connectorID": loose_text(data.get("connectorID")),
        "sourceAccountID": loose_text(data.get("sourceAccountID")),
        "destinationAccountID": loose_text(data.get("destinationAccountID")),
        "asset": text_of(data.get("asset"), "asset"),
        "type": _one_of(TYPES, data.get("type"), "OTHER"),
        "status": _status(data.get("status")),
        "initialAmount": natural_of(data.get("initialAmount"), "initialAmount"),
        "scheme": _one_of(SCHEMES, data.get("scheme"), "other"),
        "createdAt": moment_in(data.get("createdAt"), "createdAt"),
        "raw": _raw(data.get("raw")) if with_raw else {},
        "adjustments": adjustments,
        "metadata": string_map(data.get("metadata")),
    }
    if is_integer(data.get("amount")):
        payment["amount"] = data["amount"]
    provider = loose_text(data.get("provider")).upper()
    if provider in PROVIDERS:
        payment["provider"] = provider
    return payment


def _one_of(known: frozenset[str], value: object, otherwise: str) -> str:
    return value if isinstance(value, str) and value in known else otherwise


def _status(value: object) -> str:
    """Only what is SUCCEEDED there is SUCCEEDED here: a refund or a dispute is not."""
    return "CANCELLED" if value == "EXPIRED" else _one_of(STATUSES, value, "TERMINATED")


def _raw(value: object) -> Json:
    """The provider's own record, without its nulls."""
    return _without_nulls(value) if isinstance(value, dict) else {}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        return {name: _without_nulls(item) for name, item in members.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in cast("list[Any]", value) if item is not None]
    return value


def _read_payment(request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    data = object_of(members_of(response).get("data"), "data")
    payment = payment_of(data, with_raw=len(response.body) <= MAX_RAW_BYTES)
    if payment["id"] != _payment_in(request):
        # Two spellings of one id would be ingested twice (decision Q19).
        return Refused("VALIDATION", f"payments knows this payment as {payment['id']!r}: give exactly that id")
    return Done({"data": payment})


def _payment_in(request: Request) -> str:
    return unquote(request.path.rsplit("/", 1)[1])


def _read_initiation(request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    data = object_of(members_of(response).get("data"), "data")
    text_of(data.get("id"), "id")
    if data.get("reference") != stored(request)["reference"] or differences(stored(request), data):
        raise Unreadable("another transfer initiation than the one that was asked for")
    return Done()


def asked_for(request: Request, code: str) -> str:
    """The subject of a refusal. Empty if the request does not name it."""
    is_read = request.method == "GET"
    return f"payment {_payment_in(request)} does not exist" if code == "NOT_FOUND" and is_read else ""


REQUESTS: dict[str, Preparer] = {
    "GetPayment": get_payment,
    "CreateTransferInitiation": create_transfer_initiation,
}

READERS: dict[str, Reader] = {
    "GetPayment": _read_payment,
    "CreateTransferInitiation": _read_initiation,
}

SEARCHES: dict[str, Searcher] = {"CreateTransferInitiation": search_initiation}
