"""Books: what the services show of a case now, found by new look-ups.

An effect that is done must stand in the books of its service with the values of its request. An effect that was
refused, canceled or called not booked must be absent, and so must anything under the next key of each stage: a booking
that came late, or a record that was lost, shows there.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, assert_never, cast
from urllib.parse import unquote

from headrace.certificates.replay import Effect, ReplayedStage
from headrace.effects import services, wallets
from headrace.effects.evidence import (
    Differs,
    InitiationEvidence,
    NotInBooks,
    Shown,
    TextEvidence,
    TransactionEvidence,
    parse_evidence,
    read_evidence,
)
from headrace.effects.port import (
    Absent,
    Done,
    Found,
    FoundOther,
    LookUp,
    Refused,
    Request,
    Response,
    Undecided,
    Unknown,
)
from headrace.effects.wire import Unreadable, canonical, is_integer, loose_text, members_of, object_of, page_of, stored
from headrace.errors import InvalidValue, NotCertifiable, Silent
from headrace.money import ledger_name
from headrace.planning.questions import ATTEMPTS, Answer, Question, ask
from headrace.planning.shadow import wallet_account
from headrace.workflows.activities import INTERNAL_LEDGER, CreditWallet, Family, GetWallet, Json, ListWallets
from headrace.workflows.reversals import GetTransaction, ListWalletTransactions, RevertTransaction

SUBJECT = "a certificate"
MAX_WALLET_PAGES = 100

Asking = Generator[Question, Answer, Any]
Standing = Literal["booked", "observed", "overwritten", "attested", "absent", "not_excluded"]
"""The state of an effect in the books.

booked        it stands there with its values
observed      the account has this metadata now
overwritten   the account has other metadata now
attested      a person has said that it was booked, and the service can neither show nor exclude it
absent        it is not there, as recorded
not_excluded  it was not done, and the service lists too much to show that it is not there
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry of one effect in the books.

    `postings` are those of `transaction_id` on `ledger`, None for a service without postings. `is_reverted`: by this
    case. An initiation has `initiation_id`, `status`, and `paid`: what has left, or will.
    """

    effect: Effect
    standing: Standing
    ledger: str = ""
    transaction_id: int | None = None
    postings: tuple[Json, ...] | None = None
    is_reverted: bool = False
    initiation_id: str = ""
    status: str = ""
    paid: int = 0

    def shown(self) -> Json:
        """The entry as a certificate has it."""
        found: Json = {"standing": self.standing}
        if self.transaction_id is not None:
            found |= {"ledger": self.ledger, "transaction": self.transaction_id}
            found |= {"postings": list(self.postings or ()), "reverted": self.is_reverted}
        if self.initiation_id:
            found |= {"initiation": self.initiation_id, "status": self.status, "paid": self.paid}
        return found


@dataclass(slots=True)
class Finding:
    """All entries of a case by stage, and keys that a service could not exclude."""

    entries: list[Entry] = field(default_factory=list[Entry])
    not_excluded: list[Json] = field(default_factory=list[Json])


def find(stages: list[ReplayedStage], root_id: str) -> Generator[Question, Answer, Finding]:
    """Look up every effect of a case, and what must be absent. Raises NotCertifiable, and Silent."""
    return (yield from _Books(stages, root_id).find())


class _Books:
    """The look-ups of one case. Each wallet is listed once."""

    def __init__(self, stages: list[ReplayedStage], root_id: str) -> None:
        self._stages = stages
        self._root_id = root_id
        self._wallets: dict[str, tuple[dict[str, list[Json]], bool]] = {}
        self._reverted = {
            (effect.activity.ledger, effect.activity.id)
            for effect in self._effects()
            if isinstance(effect.activity, RevertTransaction) and effect.state == "done"
        }
        self._finding = Finding()

    def _effects(self) -> Iterator[Effect]:
        for stage in self._stages:
            yield from stage.effects

    def find(self) -> Generator[Question, Answer, Finding]:
        for stage in self._stages:
            for effect in stage.effects:
                if effect.state == "done":
                    self._finding.entries.append((yield from self._done(stage, effect)))
                else:
                    self._finding.entries.append((yield from self._not_done(effect)))
        yield from self._nothing_else()
        return self._finding

    # done

    def _done(self, stage: ReplayedStage, effect: Effect) -> Generator[Question, Answer, Entry]:
        family = effect.activity.settlement
        match family:
            case Family.TRANSACTION | Family.INGESTION:
                return (yield from self._transaction(effect))
            case Family.WALLET:
                return (yield from self._wallet_transaction(stage, effect))
            case Family.INITIATION:
                return (yield from self._initiation(effect))
            case Family.METADATA:
                found, _ = yield from _searched(effect.activity.name, effect.request)
                return Entry(effect, "observed" if isinstance(found, Found) else "overwritten")
            case Family.REVERT:
                return (yield from self._revert(effect))
            case Family.READ:
                raise AssertionError(f"{effect.activity.name} is a read, and no effect")
            case Family.REVERSAL:
                found, _ = yield from _searched(effect.activity.name, effect.request)
                if not isinstance(found, Found):
                    _refuse(effect, found)
                return Entry(effect, "booked")
            case _:
                assert_never(family)

    def _transaction(self, effect: Effect) -> Generator[Question, Answer, Entry]:
        ledger = _ledger_in(effect.request)
        found, _ = yield from _searched(effect.activity.name, effect.request)
        if isinstance(found, Found):
            transaction = found.output["data"]
        elif (named := _named(effect)) is not None and isinstance(found, Absent):
            transaction = (yield from _shown(effect, named)).output["data"]
        elif _is_attested(effect) and isinstance(found, Undecided):
            return Entry(effect, "attested")
        else:
            _refuse(effect, found)
        if effect.output is not None:
            _compare(effect, effect.output, transaction)
        return self._entry(effect, ledger, transaction)

    def _entry(self, effect: Effect, ledger: str, transaction: Json) -> Entry:
        place = (ledger, transaction["id"])
        if transaction["reverted"] and place not in self._reverted:
            raise NotCertifiable(
                "reverted_elsewhere", f"{effect.key}: transaction {place[1]} of ledger {ledger} was reverted"
            )
        return Entry(
            effect,
            "booked",
            ledger,
            transaction["id"],
            tuple(transaction["postings"]),
            transaction["reverted"],
        )

    def _wallet_transaction(self, stage: ReplayedStage, effect: Effect) -> Generator[Question, Answer, Entry]:
        wallet_id = _wallet_in(effect.request)
        by_key, is_complete = yield from self._listed(wallet_id)
        ours = by_key.get(effect.key, [])
        ledger = stage.wallets.get(wallet_id, "")
        if len(ours) > 1:
            raise NotCertifiable("extra_in_books", f"{effect.key}: wallet {wallet_id} has {len(ours)} transactions")
        if not ours:
            named = _named(effect)
            if named is not None:
                yield from _shown(effect, named)
                assert isinstance(named, TransactionEvidence)
                return self._entry(effect, named.ledger, (yield from _read(effect, named.ledger, named.transaction_id)))
            if _is_attested(effect) and not is_complete:
                return Entry(effect, "attested")
            _refuse(effect, Absent() if is_complete else Undecided(f"wallet {wallet_id} has more than was listed"))
        (item,) = ours
        difference = wallets.difference(effect.request, item) or _other_balance(effect, item)
        if difference is not None:
            raise NotCertifiable("differs", f"{effect.key}: the wallet's transaction {item['id']} has {difference}")
        if item["ledger"] and item["ledger"] != ledger:
            raise NotCertifiable(
                "differs", f"{effect.key}: transaction {item['id']} is on ledger {item['ledger']}, not on {ledger}"
            )
        transaction = yield from _read(effect, ledger, item["id"])
        if transaction["postings"] != item["postings"]:
            raise NotCertifiable(
                "differs",
                f"{effect.key}: transaction {item['id']} of ledger {ledger} has other postings than the wallet's",
            )
        return self._entry(effect, ledger, transaction)

    def _listed(self, wallet_id: str) -> Generator[Question, Answer, tuple[dict[str, list[Json]], bool]]:
        """The transactions of a wallet that carry the key of an effect, and whether all were listed."""
        if wallet_id in self._wallets:
            return self._wallets[wallet_id]
        by_key: defaultdict[str, list[Json]] = defaultdict(list)
        cursor, seen, is_complete = "", set[str](), False
        for _ in range(MAX_WALLET_PAGES):
            page = yield from _asked(ListWalletTransactions(wallet_id, cursor))
            if isinstance(page, Refused):
                raise Silent(f"wallets: {page.message}", SUBJECT)
            for item in page.output["cursor"]["data"]:
                by_key[item["key"]].append(item)
            cursor = page.output["cursor"].get("next", "")
            if not cursor:
                is_complete = not page.output["cursor"]["hasMore"]
                break
            if cursor in seen:
                break
            seen.add(cursor)
        self._wallets[wallet_id] = dict(by_key), is_complete
        return self._wallets[wallet_id]

    def _initiation(self, effect: Effect) -> Generator[Question, Answer, Entry]:
        found, responses = yield from _searched(effect.activity.name, effect.request)
        if isinstance(found, Found):
            item = _with_reference(responses, effect.key)
        elif (named := _named(effect)) is not None and isinstance(found, Absent | Undecided):
            shown = yield from _shown(effect, named)
            item = shown.output
        elif _is_attested(effect) and isinstance(found, Undecided):
            return Entry(effect, "attested")
        else:
            _refuse(effect, found)
        status = loose_text(item.get("status"))
        return Entry(
            effect, "booked", initiation_id=loose_text(item.get("id")), status=status, paid=_paid(status, item)
        )

    def _revert(self, effect: Effect) -> Generator[Question, Answer, Entry]:
        """The reverted transaction says so; where this case booked the revert itself, the reverting one is compared."""
        assert isinstance(effect.activity, RevertTransaction)
        found, _ = yield from _searched(effect.activity.name, effect.request)
        if not isinstance(found, Found):
            _refuse(effect, found)
        recorded: object = effect.output
        output = cast("Json", recorded).get("data") if isinstance(recorded, dict) else None
        if output is None or output.get("reverted"):  # it was found as reverted
            return Entry(effect, "booked")
        ledger, reverted = effect.activity.ledger, found.output["data"]
        transaction = yield from _read(effect, ledger, output["id"])
        _compare(effect, effect.output, transaction)
        back = [
            {**posting, "source": posting["destination"], "destination": posting["source"]}
            for posting in reverted["postings"]
        ]
        if sorted(map(canonical, transaction["postings"])) != sorted(map(canonical, back)):
            raise NotCertifiable(
                "differs", f"{effect.key}: transaction {output['id']} does not revert {reverted['id']}"
            )
        return Entry(effect, "booked", ledger, output["id"], tuple(transaction["postings"]))

    # not done

    def _not_done(self, effect: Effect) -> Generator[Question, Answer, Entry]:
        """An effect that was refused, canceled or called not booked. Where others may do the same, nothing is asked."""
        family = effect.activity.settlement
        match family:
            case Family.TRANSACTION | Family.INITIATION:
                found, _ = yield from _searched(effect.activity.name, effect.request)
            case Family.WALLET:
                found = yield from self._in_wallet(_wallet_in(effect.request), effect.key)
            case Family.READ | Family.INGESTION | Family.METADATA | Family.REVERT | Family.REVERSAL:
                return Entry(effect, "absent")
            case _:
                assert_never(family)
        return Entry(effect, "absent" if self._is_excluded(found, effect.key) else "not_excluded")

    def _is_excluded(self, found: LookUp, key: str) -> bool:
        """Whether the service excludes this key. Raises NotCertifiable where something stands in the books under it."""
        if isinstance(found, Found | FoundOther):
            what = found.message if isinstance(found, FoundOther) else "it was booked"
            raise NotCertifiable("extra_in_books", f"{key} is not recorded as done, and the books show it: {what}")
        if isinstance(found, Undecided):
            self._finding.not_excluded.append({"key": key, "why": found.message})
        return isinstance(found, Absent)

    def _in_wallet(self, wallet_id: str, key: str) -> Generator[Question, Answer, LookUp]:
        by_key, is_complete = yield from self._listed(wallet_id)
        if key in by_key:
            return FoundOther(f"wallet {wallet_id} has a transaction with it")
        return Absent() if is_complete else Undecided(f"wallet {wallet_id} has more transactions than were listed")

    # nothing else

    def _nothing_else(self) -> Generator[Question, Answer, None]:
        """The next key of every stage must be unknown to every service that the case can reach."""
        reach = _reach(self._stages)
        yield from self._reach_of_names(reach)
        for stage in self._stages:
            for ordinal in _next_ordinals(stage):
                yield from self._exclude(f"headrace:{stage.root_id or self._root_id}:{stage.number}:{ordinal}", reach)

    def _exclude(self, key: str, reach: _Reach) -> Generator[Question, Answer, None]:
        for ledger in reach.ledgers:
            path, body = f"/v2/{ledger}/transactions", canonical({"reference": key, "postings": []})
            found, _ = yield from _searched("CreateTransaction", Request("ledger", "POST", path, body, key))
            self._is_excluded(found, key)
        for wallet_id in reach.wallets:
            self._is_excluded((yield from self._in_wallet(wallet_id, key)), key)
        if reach.has_payments:
            request = Request("payments", "POST", "/transfer-initiations", canonical({**_ANY, "reference": key}))
            found, _ = yield from _searched("CreateTransferInitiation", request)
            self._is_excluded(found, key)

    def _reach_of_names(self, reach: _Reach) -> Generator[Question, Answer, None]:
        """Wallets that the definition names, and that no record says were read."""
        known = {wallet_id.lower() for wallet_id in reach.wallets}
        for stage in self._stages:
            for party in _parties(stage):
                wallet = party.get("wallet")
                for found in (yield from _wallets_of(cast("Json", wallet), known)) if isinstance(wallet, dict) else ():
                    if found["id"].lower() not in known:
                        known.add(found["id"].lower())
                        reach.wallets.append(found["id"])
                    if found["ledger"] not in reach.ledgers:
                        reach.ledgers.append(found["ledger"])


def _wallets_of(wallet: Json, known: set[str]) -> Generator[Question, Answer, list[Json]]:
    """The wallets that a party names, by id or by name; none for values that no wallet can have."""
    try:
        if wallet.get("id"):
            if str(wallet["id"]).lower() in known:
                return []
            read = yield from _asked(GetWallet(wallet["id"]))
            return [read.output["data"]] if isinstance(read, Done) else []
        if wallet.get("name"):
            read = yield from _asked(ListWallets(wallet["name"]))
            return read.output["cursor"]["data"] if isinstance(read, Done) else []
    except InvalidValue:
        pass
    return []


_ANY: Json = {"amount": -1, "asset": "", "destinationAccountID": "", "sourceAccountID": "-", "type": ""}
"""Values that no initiation has: whatever is found under the key is another one."""


@dataclass(slots=True)
class _Reach:
    """Everywhere that the stages of a case could book something, each in a fixed order."""

    ledgers: list[str] = field(default_factory=list[str])
    wallets: list[str] = field(default_factory=list[str])
    has_payments: bool = False


def _reach(stages: Iterable[ReplayedStage]) -> _Reach:
    ledgers: dict[str, None] = {}
    wallet_ids: dict[str, None] = {}
    reach = _Reach()
    for stage in stages:
        named: list[object] = []
        for party in _parties(stage):
            account, payment = party.get("account"), party.get("payment")
            if isinstance(account, dict):
                named.append(cast("Json", account).get("ledger"))
            if isinstance(payment, dict):
                reach.has_payments |= "psp" in payment
                named.append(cast("Json", payment).get("ledger", INTERNAL_LEDGER) if "psp" not in payment else None)
        for name in named:
            with contextlib.suppress(InvalidValue):  # a stage that failed may hold any value
                ledgers[ledger_name(name, "ledger")] = None
        for wallet_id, ledger in stage.wallets.items():
            wallet_ids[wallet_id] = ledgers[ledger] = None
        for effect in stage.effects:
            match effect.request.service:
                case "ledger":
                    ledgers[_ledger_in(effect.request)] = None
                case "wallets":
                    wallet_ids[_wallet_in(effect.request)] = None
                case _:
                    reach.has_payments = True
    reach.ledgers, reach.wallets = list(ledgers), list(wallet_ids)
    return reach


def _next_ordinals(stage: ReplayedStage) -> tuple[int, ...]:
    """Ordinals that were never asked for. An ingestion has no key of its own, so the one behind it counts too."""
    is_ingestion = stage.next_ordinal == 0 and any(
        "payment" in party and "psp" not in party["payment"] for party in _parties(stage)
    )
    return (0, 1) if is_ingestion else (stage.next_ordinal,)


def _parties(stage: ReplayedStage) -> Iterator[Json]:
    body = stage.body or {}
    for party in (body.get("source"), body.get("destination"), body if stage.keyword == "update" else None):
        if isinstance(party, dict):
            yield cast("Json", party)


# questions


def _searched(name: str, request: Request) -> Generator[Question, Answer, tuple[LookUp, list[Response]]]:
    """Look an effect up, with the responses that showed it. Raises Silent."""
    why = ""
    for attempt in range(ATTEMPTS):
        found, responses = yield from _driven(services.look_up(name, request), attempt)
        if found is not None and not isinstance(found, Unknown):
            return found, responses
        why = f"{request.service}: no response" if found is None else found.message
    raise Silent(why, SUBJECT)


def _driven(looking: Generator[Request, Response, Any], attempt: int) -> Asking:
    responses: list[Response] = []
    response: Any = None
    while True:
        try:
            request = looking.send(response)
        except StopIteration as ended:
            return ended.value, responses
        response = (yield Question(request, attempt)).response
        if response is None:
            return None, responses
        responses.append(response)


def _asked(activity: Any) -> Generator[Question, Answer, Done | Refused]:
    """The outcome of a read."""
    try:
        reading = yield from ask(activity.name, services.prepare(activity, "", 0))
    except Silent as silent:
        raise Silent(silent.why, SUBJECT) from None
    return reading.outcome


def _read(effect: Effect, ledger: str, transaction_id: int) -> Generator[Question, Answer, Json]:
    """A transaction by its id."""
    outcome = yield from _asked(GetTransaction(transaction_id, ledger))
    if isinstance(outcome, Refused):
        raise NotCertifiable("not_in_books", f"{effect.key}: {outcome.message}")
    return outcome.output["data"]


def _shown(effect: Effect, evidence: TransactionEvidence | InitiationEvidence) -> Generator[Question, Answer, Done]:
    """The booking that a person has named as evidence, read again. An initiation is the output."""
    why = ""
    for attempt in range(ATTEMPTS):
        shown: Shown | None
        shown, responses = yield from _driven(read_evidence(effect.activity.name, effect.request, evidence), attempt)
        match shown:
            case Done():
                if isinstance(evidence, InitiationEvidence):
                    return Done(object_of(members_of(responses[-1]).get("data"), "data"))
                return shown
            case NotInBooks(message):
                raise NotCertifiable("not_in_books", f"{effect.key}: {message}")
            case Differs(message):
                raise NotCertifiable("differs", f"{effect.key}: {message}")
            case _:
                why = f"{effect.request.service}: no response" if shown is None else shown.message
    raise Silent(why, SUBJECT)


def _named(effect: Effect) -> TransactionEvidence | InitiationEvidence | None:
    """The booking that a person has named as this effect's."""
    if effect.verdict is None or not effect.verdict.is_booked:
        return None
    evidence = parse_evidence(effect.verdict.evidence)
    return None if isinstance(evidence, TextEvidence) else evidence


def _is_attested(effect: Effect) -> bool:
    return effect.verdict is not None and effect.verdict.is_booked and "text" in effect.verdict.evidence


# comparisons


def _refuse(effect: Effect, found: LookUp) -> NoReturn:
    if isinstance(found, FoundOther):
        raise NotCertifiable("differs", f"{effect.key}: {found.message}")
    why = found.message if isinstance(found, Undecided) else "the service has no such booking"
    raise NotCertifiable("not_in_books", f"{effect.key} is recorded as done: {why}")


def _other_balance(effect: Effect, item: Json) -> str | None:
    """How a transaction moves money of another balance of the wallet than the request names; None: it does not."""
    body, wallet_id = stored(effect.request), _wallet_in(effect.request).lower()
    is_credit = isinstance(effect.activity, CreditWallet)
    side, balances = ("destination", [body["balance"]]) if is_credit else ("source", body["balances"])
    accounts = {wallet_account(wallet_id, balance) for balance in balances}
    return None if all(posting[side] in accounts for posting in item["postings"]) else "another balance"


def _compare(effect: Effect, output: Any, transaction: Json) -> None:
    """Compare the transaction that history shows with the one of the books, but for what may change after it."""
    recorded = output.get("data") if isinstance(output, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(recorded, dict):
        raise NotCertifiable("differs", f"{effect.key}: its recorded output is no transaction")
    for name in ("id", "postings", "timestamp", "reference"):
        if cast("Json", recorded).get(name) != transaction.get(name):
            raise NotCertifiable(
                "differs",
                f"{effect.key}: history has another {name} than transaction {transaction['id']} of the ledger",
            )


def _paid(status: str, item: Json) -> int:
    """How much of an initiation has left, or will: nothing of one that failed, was rejected or reversed."""
    if status in ("FAILED", "REJECTED", "REVERSED"):
        return 0
    whole = item.get("initialAmount") if is_integer(item.get("initialAmount")) else item.get("amount")
    left = item.get("amount") if status == "PARTIALLY_REVERSED" else whole
    return cast("int", left) if is_integer(left) else 0


def _with_reference(responses: list[Response], reference: str) -> Json:
    for response in responses:
        try:
            page = page_of(response)
        except Unreadable:
            continue
        for item in page.items:
            if item.get("reference") == reference:
                return item
    raise AssertionError("a look-up that finds an initiation has read it")


def _ledger_in(request: Request) -> str:
    return request.path.split("?")[0].split("/")[2]


def _wallet_in(request: Request) -> str:
    return unquote(request.path.split("/")[2])
