"""Ledger v2, as far as workflows use it. What it answers was recorded from a real one (`tests/data/ledger`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.effects.port import Reply
from headrace.money import Posting, posting
from headrace.sandbox import scripts
from headrace.sandbox.answers import Json, Rollback, bare, data, error, invalid, no_content, not_found, refusal
from headrace.sandbox.bodies import Fields, as_object, is_ledger_name, json_of, metadata_of, object_of, stored
from headrace.sandbox.books import Books, Draft, InsufficientFund, ReferenceTaken, insufficient_fund, ledger_shown
from headrace.sandbox.calls import Call, Page, match_of, number_of, page_of

MAX_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class LedgerService:
    books: Books
    hints: bool
    """Whether a replayed answer says `Idempotency-Hit: true`; older ledgers do not."""

    def answer(self, call: Call) -> Reply:
        match call.method, call.segments:
            case "GET", ["v2"]:
                page = page_of(call, max_size=MAX_PAGE_SIZE)
                return page.reply(self.books.ledgers(page), lambda row: row["number"], ledger_shown)
            case "POST", ["v2", name]:
                return self._create_ledger(call, name)
            case "GET", ["v2", name]:
                return self._read_ledger(name)
            case "POST", ["v2", name, "transactions"]:
                return self._in(name, self._create_transaction, call)
            case "GET", ["v2", name, "transactions"]:
                return self._in(name, self._list_transactions, call)
            case "GET", ["v2", name, "transactions", number]:
                return self._in(name, self._read_transaction, number)
            case "GET", ["v2", name, "accounts"]:
                return self._in(name, self._list_accounts, call)
            case "GET", ["v2", name, "accounts", address]:
                return self._in(name, self._read_account, call, address)
            case "POST", ["v2", name, "accounts", address, "metadata"]:
                return self._in(name, self._add_metadata, call, address)
            case "GET", ["v2", name, "aggregate", "balances"]:
                return self._in(name, self._aggregate, call)
            case _:
                return bare(404, "404 page not found")

    def _in(self, ledger: str, handler: Callable[..., Reply], *arguments: Any) -> Reply:
        if not self.books.has_ledger(ledger):
            return error(404, "LEDGER_NOT_FOUND", f"ledger {ledger} does not exist: create it first")
        return handler(ledger, *arguments)

    def _create_ledger(self, call: Call, name: str) -> Reply:
        if not is_ledger_name(name):
            raise invalid("a ledger name has 1 to 63 of a-z, A-Z, 0-9, _ and -")
        metadata = Fields(object_of(call.body)).metadata() if call.body else {}
        if not self.books.open_ledger(name, metadata):
            return error(400, "LEDGER_ALREADY_EXISTS", f"ledger {name} exists")
        return no_content()

    def _read_ledger(self, name: str) -> Reply:
        found = self.books.ledger(name)
        if found is None:
            raise not_found(f"ledger {name} does not exist")
        return data(found)

    # Transactions

    def _create_transaction(self, ledger: str, call: Call) -> Reply:
        body = object_of(call.body)
        draft = _draft(ledger, Fields(body))
        return self.books.once(ledger, call, body, lambda: self._book(draft, _is_dry_run(call)), hints=self.hints)

    def _book(self, draft: Draft, is_dry_run: bool) -> Reply:
        try:
            reply = data(self.books.book(draft))
        except InsufficientFund as problem:
            raise insufficient_fund(problem) from None
        except ReferenceTaken as problem:
            raise Rollback(error(409, "CONFLICT", str(problem)), burns=draft.ledger) from None
        if is_dry_run:
            raise Rollback(reply, burns=draft.ledger)
        return reply

    def _list_transactions(self, ledger: str, call: Call) -> Reply:
        page = page_of(call, max_size=MAX_PAGE_SIZE)
        match match_of(page.query, ("reference", "account")):
            case "reference", reference:
                rows = self.books.by_reference(ledger, reference)
            case "account", account:
                rows = self.books.transactions_of(ledger, account, page)
            case _:
                rows = self.books.transactions(ledger, page)
        return page.reply(rows, lambda row: row["id"], lambda row: stored(row["document"]))

    def _read_transaction(self, ledger: str, number: str) -> Reply:
        found = self.books.transaction(ledger, number_of(number) or 0)
        if found is None:
            raise not_found(f"transaction {number} does not exist")
        return data(found)

    # Accounts

    def _list_accounts(self, ledger: str, call: Call) -> Reply:
        page = page_of(call, max_size=MAX_PAGE_SIZE)
        rows = self.books.accounts(ledger, page)
        return page.reply(rows, lambda row: row["address"], lambda row: self._account(ledger, row, page))

    def _read_account(self, ledger: str, call: Call, address: str) -> Reply:
        row = self.books.account(ledger, address)
        if row is None:
            raise not_found(f"account {address} was never used")
        return data(self._account(ledger, row, Page(1, None, call.query)))

    def _account(self, ledger: str, row: Any, page: Page) -> Json:
        shown: Json = {"address": row["address"], "metadata": stored(row["metadata"])}
        if "volumes" in page.query.get("expand", []):
            volumes = self.books.volumes_of(ledger, row["address"])
            shown["volumes"] = {asset: volume.shown() for asset, volume in volumes.items()}
        return shown

    def _add_metadata(self, ledger: str, call: Call, address: str) -> Reply:
        # No check of the address: a real ledger has none here either.
        metadata = metadata_of(as_object(json_of(call.body), "the body"), "metadata")

        def add() -> Reply:
            self.books.add_metadata(ledger, address, metadata)
            if _is_dry_run(call):
                raise Rollback(no_content())
            return no_content()

        return self.books.once(ledger, call, metadata, add, hints=self.hints)

    def _aggregate(self, ledger: str, call: Call) -> Reply:
        """A plain `?address=` is ignored, as a real ledger does; the filter travels in `query`."""
        match match_of(call.query, ("address",)):
            case _, pattern:
                return data(self.books.totals(ledger, lambda account: _is_like(account, pattern)))
            case _:
                return data(self.books.totals(ledger, lambda _: True))


def _is_dry_run(call: Call) -> bool:
    """`yes` is not among them: a real ledger books for real then."""
    return call.parameter("dryRun").lower() in ("true", "1")


def _is_like(account: str, pattern: str) -> bool:
    """An empty segment of the pattern stands for any segment: `users:` is like `users:1`."""
    segments, wanted = account.split(":"), pattern.split(":")
    return len(segments) == len(wanted) and all(w in ("", s) for s, w in zip(segments, wanted, strict=True))


def _draft(ledger: str, fields: Fields) -> Draft:
    postings = [_posting(Fields(item, f"postings[{index}]")) for index, item in enumerate(fields.items("postings"))]
    metadata = fields.metadata()
    reference = fields.optional_text("reference")
    timestamp_at = fields.moment_at("timestamp")
    unbounded: frozenset[str] = frozenset()
    script = _script(fields)
    if script is not None:
        if postings:
            raise invalid("either postings or a script, not both")
        made, is_unbounded = script
        postings = [made]
        unbounded = frozenset({made["source"]} if is_unbounded else ())
    if not postings:
        raise refusal(400, "NO_POSTINGS", "a transaction needs postings or a script")
    return Draft(ledger, postings, metadata, reference, timestamp_at, unbounded)


def _script(fields: Fields) -> tuple[Posting, bool] | None:
    if "script" not in fields:
        return None
    script = Fields(fields.raw("script"), "script")
    plain = script.optional_text("plain")
    return scripts.posting_of(plain, as_object(script.raw("vars") or {}, "script.vars")) if plain else None


def _posting(fields: Fields) -> Posting:
    return posting(
        fields.address("source"), fields.address("destination"), fields.amount("amount"), fields.asset("asset")
    )
