"""The ledger, version 2: postings and metadata, keyed and idempotent; accounts; look-ups by reference."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from headrace.effects.port import Absent, Done, Found, FoundOther, Outcome, Refused, Request, Response, Search
from headrace.effects.wire import (
    ExceptionReader,
    Intent,
    Preparer,
    Reader,
    Searcher,
    Unreadable,
    canonical,
    expect_status,
    idempotency_key,
    is_integer,
    loose_text,
    matching,
    members_of,
    moment_in,
    natural_of,
    object_of,
    page_of,
    postings_of,
    query_part,
    read_empty,
    service_error,
    sorted_map,
    stored,
    string_map,
    text_of,
    unknown,
    with_reason,
)
from headrace.errors import InvalidValue
from headrace.money import Posting, account_address, amount_of, asset_name, exact_amount, ledger_name, posting
from headrace.workflows.activities import (
    AddAccountMetadata,
    CreateTransaction,
    GetAccount,
    Json,
)
from headrace.workflows.durations import booking_moment_of
from headrace.workflows.reversals import GetTransaction, RevertTransaction

REFUSALS = frozenset(
    {
        "BULK_SIZE_EXCEEDED",
        "COMPILATION_FAILED",
        "CONFLICT",
        "INSUFFICIENT_FUND",
        "INTERPRETER_PARSE",
        "INTERPRETER_RUNTIME",
        "LEDGER_NOT_FOUND",
        "METADATA_OVERRIDE",
        "NOT_FOUND",
        "NO_POSTINGS",
        "OUTDATED_SCHEMA",
        "SCHEMA_ALREADY_EXISTS",
        "SCHEMA_NOT_SPECIFIED",
        "VALIDATION",
    }
)
REVERTS = "com.formance.spec/state/reverts"
"""Metadata of a transaction that reverts another one: the id of that one."""
SETTING = "HEADRACE_LEDGER_SCHEMAS"
MAX_TRANSACTION_ID = 2**63 - 1
CREATION_REFUSALS = frozenset({"LEDGER_ALREADY_EXISTS", "VALIDATION"})


# requests


def get_account(activity: GetAccount, _intent: Intent) -> Request:
    return Request("ledger", "GET", _account_path(activity.ledger, activity.id))


def add_account_metadata(activity: AddAccountMetadata, intent: Intent) -> Request:
    path = f"{_account_path(activity.ledger, activity.id)}/metadata{_schema_version(activity.ledger, intent.schemas)}"
    body = canonical(dict(sorted_map(activity.metadata, "metadata")))
    return Request("ledger", "POST", path, body, idempotency_key(intent.key))


def create_transaction(activity: CreateTransaction, intent: Intent) -> Request:
    """Build the request of a transaction that carries the key of its effect."""
    key, sent = intent.key, activity.posting
    ledger = ledger_name(activity.ledger, "ledger")
    ours = posting(
        account_address(sent["source"], "source"),
        account_address(sent["destination"], "destination"),
        exact_amount(sent["amount"]),
        asset_name(sent["asset"], "asset"),
    )
    body: Json = {"metadata": sorted_map(activity.metadata, "metadata")}
    if activity.allow_overdraft:  # the wire takes postings or a script, never both
        body["script"] = activity.input(key)["data"]["script"]
    else:
        body["postings"] = [ours]
    body["reference"] = key if activity.payment_id is None else activity.reference(key)
    if activity.timestamp is not None:
        body["timestamp"] = booking_moment_of(activity.timestamp, "timestamp")
    path = f"/v2/{ledger}/transactions{_schema_version(ledger, intent.schemas)}"
    return Request("ledger", "POST", path, canonical(body), idempotency_key(key))


def get_transaction(activity: GetTransaction, _intent: Intent) -> Request:
    return Request("ledger", "GET", _transaction_path(activity.ledger, activity.id))


def revert_transaction(activity: RevertTransaction, intent: Intent) -> Request:
    """Build the request of a revert at the present time: a period that is closed stays closed."""
    options = ["force=true"] if activity.force else []
    if activity.ledger in intent.schemas:
        options.append(f"schemaVersion={query_part(intent.schemas[activity.ledger])}")
    query = f"?{'&'.join(options)}" if options else ""
    path = f"{_transaction_path(activity.ledger, activity.id)}/revert{query}"
    return Request("ledger", "POST", path, None, idempotency_key(intent.key))


def create(ledger: str) -> Request:
    return Request("ledger", "POST", f"/v2/{ledger_name(ledger, 'ledger')}", b"{}")


def _schema_version(ledger: str, schemas: Mapping[str, str]) -> str:
    return f"?schemaVersion={query_part(schemas[ledger])}" if ledger in schemas else ""


def _account_path(ledger: str, address: str) -> str:
    """The colons of an address stay as they are: a path may hold them."""
    return f"/v2/{ledger_name(ledger, 'ledger')}/accounts/{account_address(address, 'id')}"


def _transaction_path(ledger: str, transaction_id: int) -> str:
    if not is_integer(transaction_id) or not 0 <= transaction_id <= MAX_TRANSACTION_ID:
        raise InvalidValue("id", f"must be the id of a transaction: 0 to {MAX_TRANSACTION_ID}")
    return f"/v2/{ledger_name(ledger, 'ledger')}/transactions/{transaction_id}"


# look-ups


def transactions_between(from_text: str, to_text: str) -> str:
    """The `query` parameter that picks the transactions that are dated from a moment to before another one."""
    bounds = [{"$gte": {"timestamp": from_text}}, {"$lt": {"timestamp": to_text}}]
    return query_part(canonical({"$and": bounds}).decode())


def search_transaction(request: Request) -> Search:
    """Build the look-up of a transaction by the key of its effect."""
    path = request.path.split("?")[0]
    response = yield Request("ledger", "GET", f"{path}?query={matching(stored(request)['reference'])}")
    if _is_missing(response, "LEDGER_NOT_FOUND"):
        return Absent(ledger_is_missing=True)
    if response.status != 200:
        return unknown(request, response)
    reference, page = stored(request)["reference"], page_of(response)
    for item in page.items:
        if item.get("reference") == reference:
            transaction = transaction_of(item)
            if is_booked_as_asked(stored(request), transaction["postings"]):
                return Found({"data": transaction})
            where = f"transaction {transaction['id']} of ledger {_ledger_in(request)}"
            return FoundOther(f"reference {transaction['reference']} belongs to {where}, which has other postings")
    if page.items or page.has_more:
        raise Unreadable("transactions that were not asked for")
    return Absent()


def search_metadata(request: Request) -> Search:
    response = yield Request("ledger", "GET", request.path.split("?")[0].removesuffix("/metadata"))
    if _is_missing(response, "LEDGER_NOT_FOUND", "NOT_FOUND"):
        return Absent()
    if response.status != 200:
        return unknown(request, response)
    account = account_of(object_of(members_of(response).get("data"), "data"))
    if account["address"] != _address_in(request):
        raise Unreadable("another account than the one that was asked for")
    return Found() if stored(request).items() <= account["metadata"].items() else Absent()


def search_revert(request: Request) -> Search:
    """The transaction says whether it is reverted, by this request or by any other."""
    response = yield Request("ledger", "GET", request.path.split("?")[0].removesuffix("/revert"))
    if _is_missing(response, "LEDGER_NOT_FOUND", "NOT_FOUND"):
        return Absent()
    if response.status != 200:
        return unknown(request, response)
    transaction = _transaction_asked_for(request, response)
    return Found({"data": transaction}) if transaction["reverted"] else Absent()


def _is_missing(response: Response, *codes: str) -> bool:
    error = service_error(response) if response.status == 404 else None
    return error is not None and error.code in codes


# what stands in the books against what we asked for


def is_booked_as_asked(body: Json, booked: list[Json]) -> bool:
    """Whether a transaction's postings are exactly those of a stored request."""
    wanted = wanted_postings(body)
    if not booked and "script" in body:  # a script that sends nothing may book nothing
        return all(sent["amount"] == 0 for sent in wanted)
    return booked == wanted


def wanted_postings(body: Json) -> list[Posting]:
    if "script" not in body:
        return body["postings"]
    variables = body["script"]["vars"]
    asset, amount = variables["amount"].split(" ")
    return [posting(variables["src"], variables["dst"], amount_of(amount, "amount"), asset)]


# answers


def account_of(data: Json) -> Json:
    account: Json = {"address": text_of(data.get("address"), "address"), "metadata": string_map(data.get("metadata"))}
    for name in ("volumes", "effectiveVolumes"):
        if isinstance(data.get(name), dict):
            account[name] = {asset: _volume(asset, volume) for asset, volume in data[name].items()}
    return account


def _volume(asset: str, value: object) -> Json:
    volume = object_of(value, f"volume of {asset}")
    shown: Json = {name: natural_of(volume.get(name), name) for name in ("input", "output")}
    shown["balance"] = shown["input"] - shown["output"]
    return shown


def transaction_of(data: Json) -> Json:
    transaction: Json = {
        "id": natural_of(data.get("id"), "id"),
        "postings": postings_of(data.get("postings")),
        "timestamp": moment_in(data.get("timestamp"), "timestamp"),
        "metadata": string_map(data.get("metadata")),
        "reverted": data.get("reverted") is True,
    }
    if reference := loose_text(data.get("reference")):
        transaction["reference"] = reference
    return transaction


def _read_account(request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    account = account_of(object_of(members_of(response).get("data"), "data"))
    if account["address"] != _address_in(request):
        raise Unreadable("another account than the one that was asked for")
    return Done({"data": account})


def _read_unused_account(request: Request, response: Response) -> Done | None:
    """The ledger knows no account before its first use; to a workflow it is an account without metadata."""
    if not _is_missing(response, "NOT_FOUND"):
        return None
    return Done({"data": {"address": _address_in(request), "metadata": {}}})


def _address_in(request: Request) -> str:
    return unquote(request.path.split("?")[0].split("/")[4])


def _read_transaction(request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    body, transaction = stored(request), transaction_of(object_of(members_of(response).get("data"), "data"))
    is_ours = transaction.get("reference", "") == body.get("reference", "")
    if not is_ours or not is_booked_as_asked(body, transaction["postings"]):
        raise Unreadable("another transaction than the one that was asked for")
    return Done({"data": transaction})


def _read_one_transaction(request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    return Done({"data": _transaction_asked_for(request, response)})


def _transaction_asked_for(request: Request, response: Response) -> Json:
    """Read the transaction whose id is in the path of the request."""
    transaction = transaction_of(object_of(members_of(response).get("data"), "data"))
    if str(transaction["id"]) != _transaction_in(request):
        raise Unreadable("another transaction than the one that was asked for")
    return transaction


def _transaction_in(request: Request) -> str:
    return request.path.split("?")[0].split("/")[4]


def _read_revert(request: Request, response: Response) -> Outcome:
    """The transaction that reverts, whose metadata links to the reverted one."""
    expect_status(response, 201)
    transaction = transaction_of(object_of(members_of(response).get("data"), "data"))
    if transaction["metadata"].get(REVERTS) != _transaction_in(request):
        raise Unreadable("the revert of another transaction than the one that was asked for")
    return Done({"data": transaction})


def _read_refused_revert(request: Request, response: Response) -> Refused | None:
    """`ALREADY_REVERT` means something for a revert only; what it proves is settled by a look-up."""
    error = service_error(response)
    if error is None or error.code != "ALREADY_REVERT":
        return None
    return Refused(error.code, with_reason(asked_for(request, error.code), error.message))


def asked_for(request: Request, code: str) -> str:
    """The subject of a refusal, which a real ledger does not repeat. Empty if the request does not name it."""
    ledger = _ledger_in(request)
    match code:
        case "LEDGER_NOT_FOUND":
            return f"ledger {ledger} does not exist"
        case "INSUFFICIENT_FUND" if request.path.split("?")[0].endswith("/revert"):
            return f"transaction {_transaction_in(request)} of ledger {ledger}: what it paid has been spent"
        case "ALREADY_REVERT":
            return f"transaction {_transaction_in(request)} of ledger {ledger} was reverted before"
        case "NOT_FOUND" if "/transactions/" in request.path:
            return f"transaction {_transaction_in(request)} of ledger {ledger} does not exist"
        case "INSUFFICIENT_FUND" if request.path.split("?")[0].endswith("/transactions"):
            lacking = [
                f"account {sent['source']} of ledger {ledger} has not enough for {sent['amount']} {sent['asset']}"
                for sent in wanted_postings(stored(request))
            ]
            return ", ".join(lacking)
        case "SCHEMA_NOT_SPECIFIED":
            return f"ledger {ledger} accepts only what names a version of its schema: set {SETTING}={ledger}=VERSION"
        case "OUTDATED_SCHEMA":
            return f"ledger {ledger} no longer accepts the version of its schema that {SETTING} names"
        case _:
            return ""


def _ledger_in(request: Request) -> str:
    return request.path.split("?")[0].split("/")[2]


REQUESTS: dict[str, Preparer] = {
    "GetAccount": get_account,
    "CreateTransaction": create_transaction,
    "AddAccountMetadata": add_account_metadata,
    "GetTransaction": get_transaction,
    "RevertTransaction": revert_transaction,
}

READERS: dict[str, Reader] = {
    "GetAccount": _read_account,
    "CreateTransaction": _read_transaction,
    "AddAccountMetadata": read_empty,
    "GetTransaction": _read_one_transaction,
    "RevertTransaction": _read_revert,
    "CreateLedger": read_empty,
}

EXCEPTIONS: dict[str, ExceptionReader] = {
    "GetAccount": _read_unused_account,
    "RevertTransaction": _read_refused_revert,
}

SEARCHES: dict[str, Searcher] = {
    "CreateTransaction": search_transaction,
    "AddAccountMetadata": search_metadata,
    "RevertTransaction": search_revert,
}
