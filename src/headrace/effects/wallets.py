"""Wallets: credits and debits, keyed; wallets by id and by name; look-ups among a wallet's transactions."""

from __future__ import annotations

from typing import cast
from urllib.parse import parse_qs, unquote, urlsplit

from headrace.effects.port import (
    Absent,
    Done,
    Found,
    FoundOther,
    Outcome,
    Refused,
    Request,
    Response,
    Search,
    Undecided,
)
from headrace.effects.wire import (
    KEY_PREFIX,
    MAX_LOOK_UP_PAGES,
    ExceptionReader,
    Intent,
    Preparer,
    Reader,
    Searcher,
    Unreadable,
    canonical,
    expect_status,
    foreign_id,
    idempotency_key,
    integer_of,
    loose_text,
    members_of,
    moment_in,
    natural_of,
    object_of,
    page_of,
    paging_of,
    path_part,
    postings_of,
    query_part,
    read_empty,
    sorted_map,
    stored,
    string_map,
    text_of,
    unknown,
)
from headrace.errors import InvalidValue
from headrace.money import account_address, asset_name, exact_amount
from headrace.workflows.activities import (
    CreditWallet,
    DebitWallet,
    GetWallet,
    Json,
    ListWallets,
)
from headrace.workflows.durations import booking_moment_of
from headrace.workflows.reversals import ListWalletTransactions
from headrace.workflows.variables import check_text

REFUSALS = frozenset({"HOLD_CLOSED", "INSUFFICIENT_FUND", "VALIDATION"})
MAIN_BALANCE = "main"
_WORLD: Json = {"type": "ACCOUNT", "identifier": "world"}
WALLETS_PAGE = 1_000
TRANSACTIONS_PAGE = 100


# requests


def get_wallet(activity: GetWallet, _intent: Intent) -> Request:
    return Request("wallets", "GET", _wallet_path(activity.id))


def list_wallets(activity: ListWallets, _intent: Intent) -> Request:
    name = query_part(check_text(activity.wallet_name, "name"))
    return Request("wallets", "GET", f"/wallets?name={name}&pageSize={WALLETS_PAGE}")


def list_wallet_transactions(activity: ListWalletTransactions, _intent: Intent) -> Request:
    if activity.cursor:
        return Request("wallets", "GET", f"/transactions?cursor={query_part(activity.cursor)}")
    return Request(
        "wallets", "GET", f"/transactions?walletID={path_part(activity.id, 'id')}&pageSize={TRANSACTIONS_PAGE}"
    )


def credit_wallet(activity: CreditWallet, intent: Intent) -> Request:
    body: Json = {
        "amount": _monetary(activity.asset, activity.amount),
        "metadata": sorted_map(activity.metadata, "metadata"),
        "reference": idempotency_key(intent.key),
        "sources": [_subject(source, f"sources[{place}]") for place, source in enumerate(activity.sources)],
        "balance": foreign_id(activity.balance, "balance"),
    }
    if activity.timestamp is not None:
        body["timestamp"] = booking_moment_of(activity.timestamp, "timestamp")
    return Request("wallets", "POST", f"{_wallet_path(activity.id)}/credit", canonical(body), intent.key)


def debit_wallet(activity: DebitWallet, intent: Intent) -> Request:
    """Build the request of a debit."""
    marked = {**activity.metadata, "headrace_effect": idempotency_key(intent.key)}  # a debit has no reference
    body: Json = {
        "amount": _monetary(activity.asset, activity.amount),
        "metadata": sorted_map(marked, "metadata"),
        "balances": [foreign_id(balance, "balances") for balance in activity.balances],
    }
    if activity.destination is not None:
        body["destination"] = _subject(activity.destination, "destination")
    if activity.timestamp is not None:
        body["timestamp"] = booking_moment_of(activity.timestamp, "timestamp")
    return Request("wallets", "POST", f"{_wallet_path(activity.id)}/debit", canonical(body), intent.key)


def _wallet_path(wallet_id: str) -> str:
    return f"/wallets/{path_part(wallet_id, 'id')}"


def _monetary(asset: str, amount: object) -> Json:
    return {"asset": asset_name(asset, "asset"), "amount": exact_amount(amount)}


def _subject(value: Json, field: str) -> Json:
    match value.get("type"):
        case "ACCOUNT":
            address = account_address(value.get("identifier"), f"{field}.identifier")
            return {"type": "ACCOUNT", "identifier": address}
        case "WALLET":
            subject: Json = {"type": "WALLET", "identifier": foreign_id(value.get("identifier"), f"{field}.identifier")}
            if value.get("balance") is not None:
                subject["balance"] = foreign_id(value["balance"], f"{field}.balance")
            return subject
        case _:
            raise InvalidValue(f"{field}.type", "must be ACCOUNT or WALLET")


# look-ups


def search_transactions(request: Request) -> Search:
    """All transactions of the wallet, newest first as the service lists them, until ours is seen.

    No time is compared: a transaction's own may be any that its author chose, and clocks differ.
    """
    wallet_id = request.path.split("/")[2]  # encoded already
    question = f"/transactions?walletID={wallet_id}&pageSize={TRANSACTIONS_PAGE}"
    cursors: set[str] = set()
    seen = 0
    while len(cursors) < MAX_LOOK_UP_PAGES:
        response = yield Request("wallets", "GET", question)
        if response.status != 200:
            return unknown(request, response)
        page = page_of(response)
        seen += len(page.items)
        for item in page.items:
            if _is_ours(request, item):
                # The wallets service chooses the postings (several balances, several sources): they must move what we
                # asked for.
                wanted, postings = stored(request)["amount"], postings_of(item.get("postings"))
                is_same_asset = all(posting["asset"] == wanted["asset"] for posting in postings)
                if is_same_asset and sum(posting["amount"] for posting in postings) == wanted["amount"]:
                    return Found()
                return FoundOther(
                    f"the wallet's transaction {item.get('id')} carries our key, with another amount or asset"
                )
        if not page.has_more:
            return Absent()
        if page.next is None or page.next in cursors:
            break
        cursors.add(page.next)
        question = f"/transactions?cursor={query_part(page.next)}"
    return Undecided(f"wallets: not among the {seen} transactions of the wallet that were listed first")


def _is_ours(request: Request, item: Json) -> bool:
    body = stored(request)
    if "reference" in body:
        return item.get("reference") == body["reference"]
    metadata = item.get("metadata")
    key = body["metadata"]["headrace_effect"]
    return isinstance(metadata, dict) and cast("Json", metadata).get("headrace_effect") == key


def difference(request: Request, item: Json) -> str | None:
    """Return how a transaction of the wallet differs from the stored request of a credit or debit; None: not at all."""
    body, postings = stored(request), postings_of(item.get("postings"))
    wanted, wallet_id = body["amount"], _wallet_in(request)
    is_same_asset = all(posting["asset"] == wanted["asset"] for posting in postings)
    if not is_same_asset or sum(posting["amount"] for posting in postings) != wanted["amount"]:
        return "another amount or asset"
    if request.path.endswith("/credit"):
        side, far_side, subjects = "destination", "source", body["sources"]
    else:
        side, far_side, subjects = "source", "destination", [body["destination"]] if "destination" in body else []
    if not all(_is_of_wallet(posting[side], wallet_id) for posting in postings):
        return "another direction"
    if not all(_is_one_of(posting[far_side], subjects or [_WORLD]) for posting in postings):
        return f"another {far_side}"
    return None


def _is_of_wallet(account: str, wallet_id: str) -> bool:
    """An account of a wallet has the wallet's id, without dashes, as one of its segments."""
    return wallet_id.replace("-", "").lower() in account.split(":")


def _is_one_of(account: str, subjects: list[Json]) -> bool:
    return any(
        account == subject["identifier"]
        if subject["type"] == "ACCOUNT"
        else _is_of_wallet(account, subject["identifier"])
        for subject in subjects
    )


# answers


def wallet_of(data: Json) -> Json:
    return {
        "id": text_of(data.get("id"), "id"),
        "name": loose_text(data.get("name")),
        "metadata": string_map(data.get("metadata")),
        "createdAt": moment_in(data.get("createdAt"), "createdAt"),
        "ledger": text_of(data.get("ledger"), "ledger"),
    }


def wallet_with_balances(data: Json) -> Json:
    held = data.get("balances")
    balances = cast("Json", held) if isinstance(held, dict) else {}
    return {
        **wallet_of(data),
        "balances": {"main": {"assets": {}}, **{name: _balance(name, value) for name, value in balances.items()}},
    }


def _balance(name: str, value: object) -> Json:
    held = object_of(value, f"balance {name}").get("assets")
    assets = {} if held is None else object_of(held, f"balance {name}")
    return {"assets": {asset: integer_of(amount, asset) for asset, amount in assets.items()}}


def _read_wallet(request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    wallet = wallet_with_balances(object_of(members_of(response).get("data"), "data"))
    if wallet["id"].lower() != _wallet_in(request).lower():  # a UUID may be given in capitals
        raise Unreadable("another wallet than the one that was asked for")
    return Done({"data": wallet})


def _read_missing_wallet(request: Request, response: Response) -> Refused | None:
    """The service answers 404 without a body for a wallet that it does not have."""
    if response.status != 404 or response.body:
        return None
    return Refused("NOT_FOUND", asked_for(request, "NOT_FOUND"))


def _wallet_in(request: Request) -> str:
    return unquote(request.path.split("/")[2])


def _read_wallets(request: Request, response: Response) -> Outcome:
    """Only those of exactly this name, however the service filters: the answer decides whom we pay."""
    expect_status(response, 200)
    name = parse_qs(urlsplit(request.path).query, keep_blank_values=True)["name"][0]
    page = page_of(response)
    if page.has_more:
        return Refused("VALIDATION", f"more than {len(page.items)} wallets answer to this name: give the wallet's id")
    cursor: Json = {
        "pageSize": page.page_size,
        "hasMore": False,
        "data": [wallet_of(item) for item in page.items if item.get("name") == name],
    }
    return Done({"cursor": cursor})


def _read_transactions(request: Request, response: Response) -> Outcome:
    expect_status(response, 200)
    page = page_of(response)
    ids = [natural_of(item.get("id"), "id") for item in page.items]
    ours: list[Json] = [
        {
            "id": number,
            "ledger": loose_text(item.get("ledger")),
            "key": key,
            "postings": postings_of(item.get("postings")),
        }
        for number, item in zip(ids, page.items, strict=True)
        if (key := _key_of(item))
    ]
    return Done({"cursor": {**paging_of(page), "data": ours}})


def _key_of(item: Json) -> str:
    """The key of the effect that a transaction carries; "" for one that is not ours."""
    key = loose_text(item.get("reference")) or string_map(item.get("metadata")).get("headrace_effect", "")
    return key if key.startswith(KEY_PREFIX) else ""


def asked_for(request: Request, code: str) -> str:
    """The subject of a refusal. Empty if the request does not name it."""
    if code == "NOT_FOUND" and request.path.startswith("/wallets/"):
        return f"wallet {_wallet_in(request)} does not exist"
    if code != "INSUFFICIENT_FUND" or request.method != "POST":
        return ""
    body = stored(request)
    amount = f"{body['amount']['amount']} {body['amount']['asset']}"
    if "sources" in body:
        return f"{', '.join(map(_named, body['sources']))} has not enough for {amount}"
    return f"balance {', '.join(body['balances'])} of wallet {_wallet_in(request)} has not enough for {amount}"


def _named(subject: Json) -> str:
    if subject["type"] == "ACCOUNT":
        return f"account {subject['identifier']}"
    return f"balance {subject.get('balance', MAIN_BALANCE)} of wallet {subject['identifier']}"


REQUESTS: dict[str, Preparer] = {
    "GetWallet": get_wallet,
    "ListWallets": list_wallets,
    "ListWalletTransactions": list_wallet_transactions,
    "CreditWallet": credit_wallet,
    "DebitWallet": debit_wallet,
}

READERS: dict[str, Reader] = {
    "GetWallet": _read_wallet,
    "ListWallets": _read_wallets,
    "ListWalletTransactions": _read_transactions,
    "CreditWallet": read_empty,
    "DebitWallet": read_empty,  # no stage asks for a hold, so a 201 is no debit
}

EXCEPTIONS: dict[str, ExceptionReader] = {"GetWallet": _read_missing_wallet}

SEARCHES: dict[str, Searcher] = {
    "CreditWallet": search_transactions,
    "DebitWallet": search_transactions,
}
