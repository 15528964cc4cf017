"""Evidence that a person names as proof of an effect, read from its service and compared with the stored request.

Pure, as look-ups are: each generator yields its questions and receives the responses. What it compares is what the
effect moves: amount, asset, accounts and wallet. A booking that carries the key of another effect of Headrace, or that
was reverted, proves nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

from headrace.effects import ledger, payments, wallets
from headrace.effects.port import Done, Request, Response, Unknown
from headrace.effects.settlement import Doubt
from headrace.effects.wire import (
    MAX_LOOK_UP_PAGES,
    Unreadable,
    loose_text,
    members_of,
    object_of,
    page_of,
    path_part,
    query_part,
    service_error,
    stored,
    unknown,
)
from headrace.errors import InvalidValue
from headrace.money import ledger_name
from headrace.workflows.activities import ACTIVITIES, Family, Json
from headrace.workflows.variables import check_text

MAX_ID_CHARACTERS = 1_024
MAX_TEXT_BYTES = 4_096
MAX_TRANSACTION_DIGITS = 30
KEY_PREFIX = "headrace:"


@dataclass(frozen=True, slots=True)
class TransactionEvidence:
    """A transaction of a ledger, by its id."""

    ledger: str
    transaction_id: int

    def as_json(self) -> Json:
        return {"ledger": self.ledger, "transactionID": self.transaction_id}

    @property
    def proof(self) -> str:
        return f"{self.ledger}/{self.transaction_id}"


@dataclass(frozen=True, slots=True)
class InitiationEvidence:
    """A transfer initiation of payments, by its id."""

    initiation_id: str

    def as_json(self) -> Json:
        return {"initiationID": self.initiation_id}

    @property
    def proof(self) -> str:
        return f"initiation {self.initiation_id}"


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """Evidence in words: a person has seen it, and no service shows it."""

    text: str

    def as_json(self) -> Json:
        return {"text": self.text}

    @property
    def proof(self) -> None:
        return None


Evidence = TransactionEvidence | InitiationEvidence | TextEvidence


@dataclass(frozen=True, slots=True)
class NotInBooks:
    """The service has nothing under this id."""

    message: str


@dataclass(frozen=True, slots=True)
class Differs:
    """The service has something under this id, and it is not what the effect moves."""

    message: str


Shown = Done | NotInBooks | Differs | Unknown
"""Done: the booking is that of the effect; `output` is what its history shows."""
Reading = Generator[Request, Response, Shown]


def parse_evidence(value: object) -> Evidence:
    """The evidence of a decision. Raises InvalidValue, which names the member."""
    if not isinstance(value, dict):
        raise InvalidValue("evidence", "must be an object: a transaction, an initiation or a text")
    members: Json = value  # pyright: ignore[reportUnknownVariableType]
    match sorted(members):
        case ["ledger", "transactionID"]:
            number = members["transactionID"]
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise InvalidValue("evidence.transactionID", "must be the number of a transaction")
            if number >= 10**MAX_TRANSACTION_DIGITS:
                raise InvalidValue("evidence.transactionID", f"has more than {MAX_TRANSACTION_DIGITS} digits")
            return TransactionEvidence(ledger_name(members["ledger"], "evidence.ledger"), number)
        case ["initiationID"]:
            return InitiationEvidence(_text(members["initiationID"], "evidence.initiationID", MAX_ID_CHARACTERS))
        case ["text"]:
            return TextEvidence(_text(members["text"], "evidence.text", MAX_TEXT_BYTES))
        case _:
            raise InvalidValue("evidence", "has either ledger and transactionID, or initiationID, or text")


def _text(value: object, field: str, max_bytes: int) -> str:
    text = check_text(value, field)
    if not text.strip() or len(text.encode()) > max_bytes:
        raise InvalidValue(field, f"must be text of 1 to {max_bytes} bytes")
    return text


def check_evidence(name: str, evidence: Evidence, *, is_booked: bool) -> None:
    """Check that such evidence can speak for this verdict on an activity of this name. Raises InvalidValue."""
    if isinstance(evidence, TextEvidence):
        return
    if not is_booked:
        raise InvalidValue("evidence", "of what was not booked is a text: no id shows it")
    family = ACTIVITIES[name].family
    by_family = {
        Family.TRANSACTION: "ledger and transactionID",
        Family.INGESTION: "ledger and transactionID",
        Family.WALLET: "ledger and transactionID",
        Family.INITIATION: "initiationID",
    }
    wanted = by_family.get(family)
    if wanted is None:
        raise InvalidValue("evidence", f"of {name} is a text: no id shows it")
    if " and ".join(evidence.as_json()) != wanted:
        raise InvalidValue("evidence", f"of {name} is {wanted}, or text")


def read_evidence(name: str, request: Request, evidence: TransactionEvidence | InitiationEvidence) -> Reading:
    """Read what a person names, and compare it with the stored request."""
    if isinstance(evidence, InitiationEvidence):
        reading = _initiation(request, evidence)
    elif ACTIVITIES[name].family is Family.WALLET:
        reading = _wallet_transaction(request, evidence)
    else:
        reading = _transaction(request, evidence)
    question = next(reading)
    while True:
        response = yield question
        try:
            question = reading.send(response)
        except StopIteration as ended:
            return ended.value
        except Unreadable as error:
            return unknown(question, response, str(error))


def _transaction(request: Request, evidence: TransactionEvidence) -> Reading:
    body, wanted = stored(request), request.path.split("?")[0].split("/")[2]
    question = Request("ledger", "GET", f"/v2/{evidence.ledger}/transactions/{evidence.transaction_id}")
    response = yield question
    where = f"transaction {evidence.transaction_id} of ledger {evidence.ledger}"
    if _is_missing(response):
        return NotInBooks(f"{where} does not exist")
    if response.status != 200:
        return unknown(question, response)
    transaction = ledger.transaction_of(object_of(members_of(response).get("data"), "data"))
    if transaction["id"] != evidence.transaction_id:
        raise Unreadable("another transaction than the one that was asked for")
    if evidence.ledger != wanted:
        return Differs(f"{where}: the effect is one of ledger {wanted}")
    if not ledger.is_booked_as_asked(body, transaction["postings"]):
        return Differs(f"{where} has other postings")
    return _unused(where, transaction, body.get("reference", "")) or Done({"data": transaction})


def _unused(where: str, booked: Json, ours: str) -> Differs | None:
    """A booking that cannot be this effect's, though its values are equal."""
    references = (loose_text(booked.get("reference")), loose_text(_metadata(booked).get("headrace_effect")))
    if any(each.startswith(KEY_PREFIX) and each != ours for each in references):
        return Differs(f"{where} is the booking of another effect")
    if booked.get("reverted") is True:
        return Differs(f"{where} was reverted")
    return None


def _metadata(booked: Json) -> Json:
    found = booked.get("metadata")
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _wallet_transaction(request: Request, evidence: TransactionEvidence) -> Reading:
    """The transaction is read among those of the wallet, which alone shows that it is the wallet's."""
    wallet_id = request.path.split("/")[2]  # encoded already
    where = f"transaction {evidence.transaction_id} of ledger {evidence.ledger}"
    question = Request("wallets", "GET", f"/transactions?walletID={wallet_id}&pageSize={wallets.TRANSACTIONS_PAGE}")
    cursors: set[str] = set()
    while True:
        response = yield question
        if response.status != 200:
            return unknown(question, response)
        page = page_of(response)
        for item in page.items:
            if item.get("id") == evidence.transaction_id and item.get("ledger", evidence.ledger) == evidence.ledger:
                return _compared_with_wallet(request, where, item)
        if not page.has_more:
            return NotInBooks(f"{where} is not among the wallet's transactions")
        if page.next is None or page.next in cursors or len(cursors) >= MAX_LOOK_UP_PAGES:
            return NotInBooks(f"{where} is not among the transactions of the wallet that were listed first")
        cursors.add(page.next)
        question = Request("wallets", "GET", f"/transactions?cursor={query_part(page.next)}")


def _compared_with_wallet(request: Request, where: str, item: Json) -> Shown:
    body = stored(request)
    if (difference := wallets.difference(request, item)) is not None:
        return Differs(f"{where} has {difference}")
    ours = body["reference"] if "reference" in body else body["metadata"]["headrace_effect"]
    return _unused(where, item, ours) or Done()


def _initiation(request: Request, evidence: InitiationEvidence) -> Reading:
    question = Request(
        "payments", "GET", f"{request.path}/{path_part(evidence.initiation_id, 'evidence.initiationID')}"
    )
    response = yield question
    where = f"transfer initiation {evidence.initiation_id}"
    if _is_missing(response):
        return NotInBooks(f"{where} does not exist")
    if response.status != 200:
        return unknown(question, response)
    item = object_of(members_of(response).get("data"), "data")
    if item.get("id") != evidence.initiation_id:
        raise Unreadable("another transfer initiation than the one that was asked for")
    if differing := list(payments.differences(stored(request), item)):
        return Differs(f"{where} has another {', '.join(differing)}")
    return _unused(where, item, stored(request)["reference"]) or Done()


def _is_missing(response: Response) -> bool:
    """404 with a body of the service; 400 where an id has a form that the service does not have."""
    if response.status not in (400, 404):
        return False
    error = service_error(response)
    return error is not None and error.code in ("NOT_FOUND", "LEDGER_NOT_FOUND", "VALIDATION", "INVALID_ID")


# what is known before a person decides


def moved_by(request: Request) -> tuple[int, str] | None:
    """Amount and asset of a stored request; None for one that moves nothing."""
    body = stored(request)
    match request.service:
        case "ledger" if "postings" in body or "script" in body:
            (posting,) = ledger.wanted_postings(body)
            return posting["amount"], posting["asset"]
        case "wallets":
            return body["amount"]["amount"], body["amount"]["asset"]
        case "payments":
            return body["amount"], body["asset"]
        case _:
            return None


_BOOKED: dict[Doubt, str] = {
    "other_bytes": "the service says that it has carried out another request under this key",
    "other_values": "the service's books show something under this key",
    "not_found": "an attempt had no response: it may have been carried out",
    "not_listed": "an attempt had no response: it may have been carried out",
}
_NOT_BOOKED: dict[Doubt, str] = {
    "other_bytes": "what was carried out is not the stored request",
    "other_values": "what the books show has other values",
    "not_found": "the service's books do not show it, and a later attempt was refused",
    "not_listed": "what the service listed does not show it; it has more than was read",
}
_NOT_FOUND_ABORTED = "the service's books do not show it"


def speaks_for(doubt: Doubt, verdict: Literal["booked", "not_booked"], *, is_aborted: bool) -> str:
    """Return what is known that speaks for a verdict."""
    if verdict == "not_booked" and doubt == "not_found" and is_aborted:
        return _NOT_FOUND_ABORTED
    return (_BOOKED if verdict == "booked" else _NOT_BOOKED)[doubt]
