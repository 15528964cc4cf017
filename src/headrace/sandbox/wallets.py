"""Wallets with balances. Holds come later, and a debit with `pending` is refused.

A wallet's money sits in accounts of its ledger: balance B of wallet W is `wallets:{W without
dashes}:{B}`, so the same books tell the whole truth. A wallet lives on `wallets-002`, or on the
ledger that the member `ledger` of its creation names (the sandbox's own addition).
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from typing import Any

from headrace.clock import Clock, Ids
from headrace.effects.port import Response
from headrace.money import WORLD, Posting, posting
from headrace.sandbox import timestamps
from headrace.sandbox.bodies import Fields, is_ledger_name, object_of, stored
from headrace.sandbox.books import Books, Draft, InsufficientFund, ReferenceTaken, insufficient_fund
from headrace.sandbox.requests import Call, Page, page_of
from headrace.sandbox.responses import Json, Rollback, bare, data, encoded, error, invalid, no_content

DEFAULT_LEDGER = "wallets-002"
MAIN = "main"
MAX_PAGE_SIZE = 1_000
_BALANCE = re.compile(r"[0-9A-Za-z_-]{1,128}")
_FILTER = re.compile(r"metadata\[(.+)\]")


@dataclass(frozen=True, slots=True)
class Wallet:
    """A wallet with its balances and holds."""

    number: int
    id: str
    name: str
    ledger: str
    metadata: str
    created_at: int

    def account(self, balance: str) -> str:
        return self.prefix + balance

    @property
    def prefix(self) -> str:
        return f"wallets:{self.id.replace('-', '')}:"

    def shown(self) -> Json:
        return {
            "id": self.id,
            "name": self.name,
            "metadata": stored(self.metadata),
            "createdAt": timestamps.shown(self.created_at),
            "ledger": self.ledger,
        }


@dataclass(frozen=True, slots=True)
class WalletsService:
    """The imitated wallets service."""

    connection: sqlite3.Connection
    books: Books
    clock: Clock
    ids: Ids

    def answer(self, call: Call) -> Response:
        """Route a call to its handler, and return the response."""
        match call.method, call.segments:
            case "POST", ["wallets"]:
                return self._create(call)
            case "GET", ["wallets"]:
                return self._list(call)
            case "GET", ["transactions"]:
                return self._transactions(call)
            case "GET", ["wallets", wallet_id]:
                wallet = self._find(wallet_id)
                return data(self._with_balances(wallet)) if wallet else bare(404)
            case "POST", ["wallets", wallet_id, "credit"]:
                return self._credit(call, self._get(wallet_id))
            case "POST", ["wallets", wallet_id, "debit"]:
                return self._debit(call, self._get(wallet_id))
            case "POST", ["wallets", wallet_id, "balances"]:
                return self._create_balance(call, self._get(wallet_id))
            case "GET", ["wallets", wallet_id, "balances"]:
                return self._list_balances(call, self._get(wallet_id))
            case "GET", ["wallets", wallet_id, "balances", name]:
                return self._read_balance(self._get(wallet_id), name)
            case _:
                return bare(404, "404 page not found\n")

    # Wallets

    def _create(self, call: Call) -> Response:
        body = object_of(call.body)
        fields = Fields(body)
        name, metadata = fields.text("name"), fields.metadata()
        ledger = fields.optional_text("ledger") or DEFAULT_LEDGER
        if not is_ledger_name(ledger):
            raise fields.wrong("ledger", "has 1 to 63 of a-z, A-Z, 0-9, _ and -")

        def create() -> Response:
            self.books.open_ledger(ledger, {})
            values = (self.ids.new(), name, ledger, encoded(metadata).decode(), self.clock.now_at())
            cursor = self.connection.execute(
                "INSERT INTO wallets (id, name, ledger, metadata, created_at) VALUES (?, ?, ?, ?, ?)", values
            )
            wallet = Wallet(cursor.lastrowid or 0, *values)
            self._ensure_balance(wallet, MAIN)
            return data(wallet.shown(), 201)

        return self.books.once(ledger, call, body, create)

    def _find(self, wallet_id: str) -> Wallet | None:
        row = self.connection.execute("SELECT * FROM wallets WHERE id = ?", (wallet_id,)).fetchone()
        return Wallet(*row) if row else None

    def _get(self, wallet_id: str) -> Wallet:
        """The wallets API has no NOT_FOUND among its errors; only the read of a wallet answers 404."""
        wallet = self._find(wallet_id)
        if wallet is None:
            raise invalid(f"wallet {wallet_id} does not exist")
        return wallet

    def _list(self, call: Call) -> Response:
        page = page_of(call, max_size=MAX_PAGE_SIZE, clamps=False)
        wallets = [Wallet(*row) for row in self._rows(page)]
        shows_balances = "balances" in page.query.get("expand", [])
        show = self._with_balances if shows_balances else Wallet.shown
        return page.response(wallets, lambda wallet: wallet.number, show)

    def _rows(self, page: Page) -> list[sqlite3.Row]:
        conditions, values = ["number < ?"], [page.before()]
        parameters: list[Any] = [*values]
        if page.query.get("name", [""])[0]:
            conditions.append("name = ?")
            parameters.append(page.query["name"][0])
        for name, texts in page.query.items():
            if wanted := _FILTER.fullmatch(name):
                conditions.append("EXISTS (SELECT 1 FROM json_each(wallets.metadata) WHERE key = ? AND value = ?)")
                parameters += [wanted[1], texts[0]]
        statement = f"SELECT * FROM wallets WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?"
        return self.connection.execute(statement, (*parameters, page.limit)).fetchall()

    # Balances

    def _with_balances(self, wallet: Wallet) -> Json:
        balances = {name: {"assets": self._assets(wallet, name)} for name in self._balance_names(wallet)}
        return {**wallet.shown(), "balances": balances}

    def _assets(self, wallet: Wallet, balance: str) -> dict[str, int]:
        volumes = self.books.volumes_of(wallet.ledger, wallet.account(balance))
        return {asset: volume.balance for asset, volume in volumes.items()}

    def _balance_names(self, wallet: Wallet) -> list[str]:
        """`main` first, then by name: the order in which a debit of all balances empties them."""
        statement = "SELECT name FROM balances WHERE wallet_id = ? ORDER BY name <> 'main', name"
        return [row["name"] for row in self.connection.execute(statement, (wallet.id,))]

    def _ensure_balance(self, wallet: Wallet, name: str) -> bool:
        """False if the wallet has it."""
        statement = "INSERT INTO balances (wallet_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING"
        return self.connection.execute(statement, (wallet.id, name)).rowcount == 1

    def _create_balance(self, call: Call, wallet: Wallet) -> Response:
        body = object_of(call.body)
        name = _balance_name(Fields(body), "name")

        def create() -> Response:
            if not self._ensure_balance(wallet, name):
                raise invalid(f"balance {name} exists")
            return data({"name": name}, 201)

        return self.books.once(wallet.ledger, call, body, create)

    def _list_balances(self, call: Call, wallet: Wallet) -> Response:
        page = page_of(call, max_size=MAX_PAGE_SIZE, clamps=False)
        names = sorted(name for name in self._balance_names(wallet) if name > page.beyond())
        return page.response(names[: page.limit], lambda name: name, lambda name: {"name": name})

    def _read_balance(self, wallet: Wallet, name: str) -> Response:
        if name not in self._balance_names(wallet):
            return bare(404)
        return data({"name": name, "assets": self._assets(wallet, name)})

    # Money

    def _credit(self, call: Call, wallet: Wallet) -> Response:
        body = object_of(call.body)
        fields = Fields(body)
        amount, asset = _monetary(fields)
        balance = _balance_name(fields, "balance") if "balance" in fields else MAIN
        subjects = [Fields(item, f"sources[{index}]") for index, item in enumerate(fields.items("sources"))]
        sources = [self._account(wallet, subject) for subject in subjects] or [WORLD]
        reference, metadata, at = fields.optional_text("reference"), fields.metadata(), fields.moment_at("timestamp")

        def credit() -> Response:
            self._ensure_balance(wallet, balance)
            postings = self._drained(wallet, sources, wallet.account(balance), amount, asset)
            return self._book(Draft(wallet.ledger, postings, metadata, reference, at))

        return self.books.once(wallet.ledger, call, body, credit)

    def _debit(self, call: Call, wallet: Wallet) -> Response:
        body = object_of(call.body)
        fields = Fields(body)
        if fields.flag("pending", default=False):
            raise fields.wrong("pending", "is not offered by the sandbox yet: there are no holds")
        amount, asset = _monetary(fields)
        sources = [wallet.account(name) for name in self._debited(wallet, fields)]
        destination = WORLD
        if "destination" in fields:
            destination = self._account(wallet, Fields(fields.raw("destination"), "destination"), may_create=True)
        fields.optional_text("description")
        metadata, at = fields.metadata(), fields.moment_at("timestamp")

        def debit() -> Response:
            postings = self._drained(wallet, sources, destination, amount, asset)
            return self._book(Draft(wallet.ledger, postings, metadata, None, at))

        return self.books.once(wallet.ledger, call, body, debit)

    def _debited(self, wallet: Wallet, fields: Fields) -> list[str]:
        names = fields.items("balances") or [MAIN]
        if names == ["*"]:
            return self._balance_names(wallet)
        if not all(isinstance(name, str) and _BALANCE.fullmatch(name) for name in names):
            raise fields.wrong("balances", 'must be names of balances, or ["*"] for all')
        return names

    def _account(self, wallet: Wallet, subject: Fields, *, may_create: bool = False) -> str:
        """The account behind an ACCOUNT or WALLET subject. Both sides must sit on one ledger."""
        if subject.choice("type", ("ACCOUNT", "WALLET")) == "ACCOUNT":
            return subject.address("identifier")
        other = self._get(subject.text("identifier"))
        if other.ledger != wallet.ledger:
            raise subject.wrong("identifier", f"is a wallet on ledger {other.ledger}, not on {wallet.ledger}")
        balance = _balance_name(subject, "balance") if "balance" in subject else MAIN
        if may_create:
            self._ensure_balance(other, balance)
        return other.account(balance)

    def _drained(self, wallet: Wallet, sources: list[str], destination: str, amount: int, asset: str) -> list[Posting]:
        """Postings that take the amount from the sources in order, each as far as its balance goes."""
        postings: list[Posting] = []
        missing = amount
        for source in dict.fromkeys(sources):
            held = self.books.volume(wallet.ledger, source, asset).balance
            part = missing if source == WORLD else min(missing, max(held, 0))
            if part:
                postings.append(posting(source, destination, part, asset))
                missing -= part
        if missing:
            raise insufficient_fund()
        return postings or [posting(sources[0], destination, 0, asset)]

    def _book(self, draft: Draft) -> Response:
        try:
            self.books.book(draft)
        except InsufficientFund:
            raise insufficient_fund() from None
        except ReferenceTaken:
            raise Rollback(error(400, "VALIDATION", "the reference was used before"), burns=draft.ledger) from None
        return no_content()

    def _transactions(self, call: Call) -> Response:
        page = page_of(call, max_size=MAX_PAGE_SIZE, clamps=False)
        wallet_id = page.query.get("walletID", [""])[0]
        if not wallet_id:
            raise invalid("walletID is required by the sandbox")
        wallet = self._get(wallet_id)
        rows = self.books.transactions_of(wallet.ledger, wallet.prefix, page, is_prefix=True)
        return page.response(rows, lambda row: row["id"], lambda row: _transaction(row, wallet))


def _transaction(row: Any, wallet: Wallet) -> Json:
    document: Json = stored(row["document"])
    names = ("id", "postings", "timestamp", "metadata", "reference")
    return {**{name: document[name] for name in names if name in document}, "ledger": wallet.ledger}


def _monetary(fields: Fields) -> tuple[int, str]:
    monetary = Fields(fields.raw("amount"), fields.path("amount"))
    return monetary.amount("amount"), monetary.asset("asset")


def _balance_name(fields: Fields, name: str) -> str:
    text = fields.text(name)
    if not _BALANCE.fullmatch(text):
        raise fields.wrong(name, "has 1 to 128 of a-z, A-Z, 0-9, _ and -")
    return text
