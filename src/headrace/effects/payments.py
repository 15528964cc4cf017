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
    Unknown,
)
from headrace.effects.wire import (
    KEY_PREFIX,
    MAX_LOOK_UP_PAGES,
    ExceptionReader,
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
    paging_of,
    path_part,
    query_part,
    read_empty,
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
from headrace.workflows.reversals import (
    PAYING_STATUSES,
    AwaitReversal,
    GetTransferInitiation,
    ListTransferInitiations,
    RejectTransferInitiation,
    ReverseTransferInitiation,
)
from headrace.workflows.variables import check_text

REFUSALS = frozenset({"CONFLICT", "INVALID_ID", "MISSING_OR_INVALID_BODY", "NOT_FOUND", "VALIDATION"})
DEFAULT_DESCRIPTION = "Transfer by Headrace"
INITIATIONS_PAGE = 100
DEFAULT_REVERSAL = "Reversal by Headrace"
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


def list_transfer_initiations(activity: ListTransferInitiations, _intent: Intent) -> Request:
    question = f"pageSize={INITIATIONS_PAGE}"
    if activity.cursor:
        question = f"cursor={query_part(activity.cursor)}"
    elif activity.reference:
        question = f"query={matching(idempotency_key(activity.reference))}"
    return Request("payments", "GET", f"/transfer-initiations?{question}")


def get_transfer_initiation(activity: GetTransferInitiation | AwaitReversal, _intent: Intent) -> Request:
    return Request("payments", "GET", _initiation_path(activity.id))


def reject_transfer_initiation(activity: RejectTransferInitiation, _intent: Intent) -> Request:
    return Request("payments", "POST", f"{_initiation_path(activity.id)}/status", canonical({"status": "REJECTED"}))


def reverse_transfer_initiation(activity: ReverseTransferInitiation, intent: Intent) -> Request:
    """Build the request of a reversal of the whole amount, with the key as its reference."""
    body: Json = {
        "reference": idempotency_key(intent.key),
        "description": DEFAULT_REVERSAL,
        "amount": exact_amount(activity.amount),
        "asset": asset_name(activity.asset, "asset"),
        "metadata": {},
    }
    return Request("payments", "POST", f"{_initiation_path(activity.id)}/reverse", canonical(body))


def _initiation_path(initiation_id: str) -> str:
    return f"/transfer-initiations/{path_part(initiation_id, 'id')}"


# look-ups


def search_rejection(request: Request) -> Search:
    """A rejection is done where the initiation can no longer pay; one that went on cannot be rejected."""
    response = yield Request("payments", "GET", request.path.removesuffix("/status"))
    if _is_missing(response):
        return Absent()
    if response.status != 200:
        return unknown(request, response)
    match _initiation_asked_for(request, response)["status"]:
        case "REJECTED" | "FAILED" | "REVERSED":
            return Found()
        case "WAITING_FOR_VALIDATION":
            return Absent()
        case status:
            return FoundOther(f"transfer initiation {_initiation_in(request)} is {status}: it was validated meanwhile")


def search_reversal(request: Request) -> Search:
    """A reversal is done where the service has accepted one; a read tells later how it ended."""
    response = yield Request("payments", "GET", request.path.removesuffix("/reverse"))
    if _is_missing(response):
        return Absent()
    if response.status != 200:
        return unknown(request, response)
    match _initiation_asked_for(request, response)["status"]:
        case "REVERSED" | "ASK_REVERSED" | "REVERSE_PROCESSING":
            return Found()
        case "PARTIALLY_REVERSED" | "REVERSE_FAILED" as status:
            return FoundOther(f"transfer initiation {_initiation_in(request)} is {status}: a person must decide")
        case _:
            return Absent()


def _is_missing(response: Response) -> bool:
    error = service_error(response) if response.status == 404 else None
    return error is not None and error.code == "NOT_FOUND"


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
    pairs: dict[str, tuple[Any, Any]] = {
        "amount": (body["amount"], _booked_amount(item)),
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


def _initiation_of(item: Json) -> Json:
    return {
        "id": text_of(item.get("id"), "id"),
        "reference": loose_text(item.get("reference")),
        "status": text_of(item.get("status"), "status"),
        "amount": natural_of(_booked_amount(item), "amount"),
        "asset": text_of(item.get("asset"), "asset"),
    }


def _booked_amount(item: Json) -> object:
    """The whole amount of an initiation: `amount` may shrink as it is reversed."""
    return item.get("initialAmount") if is_integer(item.get("initialAmount")) else item.get("amount")


def _initiation_asked_for(request: Request, response: Response) -> Json:
    initiation = _initiation_of(object_of(members_of(response).get("data"), "data"))
    if initiation["id"] != _initiation_in(request):
        raise Unreadable("another transfer initiation than the one that was asked for")
    return initiation


def _initiation_in(request: Request) -> str:
    return unquote(request.path.split("/")[2])


def _read_settled_initiation(request: Request, response: Response) -> Outcome:
    return _read_unless(PAYING_STATUSES, request, response)


def _read_reversal(request: Request, response: Response) -> Outcome:
    """A reversal that was accepted may take a moment to show."""
    return _read_unless(PAYING_STATUSES | {"PROCESSED"}, request, response)


def _read_unless(pending: frozenset[str], request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    initiation = _initiation_asked_for(request, response)
    if initiation["status"] in pending:
        return Unknown(f"transfer initiation {initiation['id']} is {initiation['status']}", is_pending=True)
    return Done({"data": initiation})


def _read_initiations(request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    page = page_of(response)
    for item in page.items:
        text_of(item.get("status"), "status")
    ours = [item for item in page.items if loose_text(item.get("reference")).startswith(KEY_PREFIX)]
    return Done({"cursor": {**paging_of(page), "data": [_initiation_of(item) for item in ours]}})


def _read_refused_filter(request: Request, response: Response) -> Done | None:
    """A service that cannot filter by reference refuses that: the caller then reads the whole list (decision M5)."""
    error = service_error(response)
    if "?query=" not in request.path or error is None or error.code not in REFUSALS:
        return None
    return Done({"cursor": {"pageSize": 0, "hasMore": False, "data": []}})


def asked_for(request: Request, code: str) -> str:
    """The subject of a refusal. Empty if the request does not name it."""
    if code != "NOT_FOUND":
        return ""
    if request.path.startswith("/transfer-initiations/"):
        return f"transfer initiation {_initiation_in(request)} does not exist"
    return f"payment {_payment_in(request)} does not exist" if request.method == "GET" else ""


REQUESTS: dict[str, Preparer] = {
    "GetPayment": get_payment,
    "CreateTransferInitiation": create_transfer_initiation,
    "ListTransferInitiations": list_transfer_initiations,
    "GetTransferInitiation": get_transfer_initiation,
    "AwaitReversal": get_transfer_initiation,
    "RejectTransferInitiation": reject_transfer_initiation,
    "ReverseTransferInitiation": reverse_transfer_initiation,
}

READERS: dict[str, Reader] = {
    "GetPayment": _read_payment,
    "CreateTransferInitiation": _read_initiation,
    "ListTransferInitiations": _read_initiations,
    "GetTransferInitiation": _read_settled_initiation,
    "AwaitReversal": _read_reversal,
    "RejectTransferInitiation": read_empty,
    "ReverseTransferInitiation": read_empty,
}

EXCEPTIONS: dict[str, ExceptionReader] = {"ListTransferInitiations": _read_refused_filter}

SEARCHES: dict[str, Searcher] = {
    "CreateTransferInitiation": search_initiation,
    "RejectTransferInitiation": search_rejection,
    "ReverseTransferInitiation": search_reversal,
}
