"""Ledger v2, as far as workflows use it. What it answers was recorded from a real one (`tests/data/ledger`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.effects.port import Response
from headrace.money import Posting, posting
from headrace.sandbox import scripts, timestamps
from headrace.sandbox.bodies import Fields, as_object, is_ledger_name, json_of, metadata_of, object_of, stored
from headrace.sandbox.books import (
    REVERTS,
    Books,
    Draft,
    InsufficientFund,
    ReferenceTaken,
    insufficient_fund,
    ledger_shown,
)
from headrace.sandbox.releases import Releases
from headrace.sandbox.requests import Call, Page, match_of, number_of, page_of, times_of
from headrace.sandbox.responses import Json, Rollback, bare, data, error, invalid, no_content, not_found, refusal

MAX_PAGE_SIZE = 100
_ID = re.compile(r"[0-9]{1,19}")
_YEAR_2 = timestamps.microseconds("0002-01-01T00:00:00Z")


@dataclass(frozen=True, slots=True)
class LedgerService:
    """The imitated ledger."""

    books: Books
    releases: Releases

    def answer(self, call: Call) -> Response:
        """Route a call to its handler, and return the response."""
        match call.method, call.segments:
            case "GET", ["v2"]:
                page = page_of(call, max_size=MAX_PAGE_SIZE)
                return page.response(self.books.ledgers(page), lambda row: row["number"], ledger_shown)
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
            case "POST", ["v2", name, "transactions", number, "revert"]:
                return self._in(name, self._revert_transaction, call, number)
            case "GET", ["v2", name, "accounts"]:
                return self._in(name, self._list_accounts, call)
            case "GET", ["v2", name, "accounts", address]:
                return self._in(name, self._read_account, call, address)
            case "POST", ["v2", name, "accounts", address, "metadata"]:
                return self._in(name, self._add_metadata, call, address)
            case "GET", ["v2", name, "aggregate", "balances"]:
                return self._in(name, self._aggregate, call)
            case _:
                return bare(404, "404 page not found\n")

    def _in(self, ledger: str, handler: Callable[..., Response], *arguments: Any) -> Response:
        if not self.books.has_ledger(ledger):
            return error(404, "LEDGER_NOT_FOUND", "ledger not found")
        return handler(ledger, *arguments)

    def _create_ledger(self, call: Call, name: str) -> Response:
        if not is_ledger_name(name):
            raise invalid("a ledger name has 1 to 63 of a-z, A-Z, 0-9, _ and -")
        metadata = Fields(object_of(call.body)).metadata() if call.body else {}
        if not self.books.open_ledger(name, metadata):
            return error(400, "LEDGER_ALREADY_EXISTS", "ledger already exists")
        return no_content()

    def _read_ledger(self, name: str) -> Response:
        found = self.books.ledger(name)
        if found is None:
            raise not_found("not found")
        return data(found)

    # Transactions

    def _create_transaction(self, ledger: str, call: Call) -> Response:
        body = object_of(call.body)
        fields = Fields(body)
        items = enumerate(fields.items("postings"))
        postings = [_posting(Fields(item, f"postings[{index}]"), self.releases) for index, item in items]
        metadata = fields.metadata()
        reference = fields.optional_text("reference")

        # None: now. For the current ledger null and the year 1 are no time either.
        if not self.releases.is_current_ledger:
            timestamp_at = fields.moment_at("timestamp")
        else:
            timestamp_at = fields.moment_at("timestamp") if "timestamp" in fields else None
            timestamp_at = None if timestamp_at is not None and timestamp_at < _YEAR_2 else timestamp_at

        unbounded: frozenset[str] = frozenset()
        script = Fields(fields.raw("script"), "script") if "script" in fields else None
        if script is not None and (plain := script.optional_text("plain")):
            variables = as_object(script.raw("vars") or {}, "script.vars")
            made, is_unbounded = scripts.posting_of(plain, variables, self.releases)
            if postings:
                raise invalid("either postings or a script, not both")
            postings = [made]
            unbounded = frozenset({made["source"]} if is_unbounded else ())
        if not postings:
            raise refusal(400, "NO_POSTINGS", "a transaction needs postings or a script")
        draft = Draft(ledger, postings, metadata, reference, timestamp_at, unbounded)
        return self.books.once(ledger, call, body, lambda: self._book(draft, _is_dry_run(call)))

    def _book(self, draft: Draft, is_dry_run: bool, *, reverts: Json | None = None) -> Response:
        """`reverts` is the transaction that the draft reverts."""
        try:
            response = data(self.books.revert(reverts, draft), 201) if reverts else data(self.books.book(draft))
        except InsufficientFund:
            raise insufficient_fund() from None
        except ReferenceTaken:
            raise Rollback(error(409, "CONFLICT", "the reference was used before"), burns=draft.ledger) from None
        if is_dry_run:
            raise Rollback(response, burns=draft.ledger)
        return response

    def _revert_transaction(self, ledger: str, call: Call, number: str) -> Response:
        # A real ledger refuses an id that is not a number of 64 bits.
        if not _ID.fullmatch(number) or int(number) >= 2**63:
            raise invalid("the transaction's id must be a number")
        identity = int(number)
        body = object_of(call.body) if call.body else {}
        metadata = Fields(body).metadata() if self.releases.is_current_ledger else {}
        is_forced, is_dated = _is_set(call, "force"), _is_set(call, "atEffectiveDate")

        def revert() -> Response:
            original = self.books.transaction(ledger, identity)
            if original is None:
                raise not_found("not found")
            if original["reverted"]:
                raise refusal(400, "ALREADY_REVERT", "the transaction was reverted before")
            # The postings backwards, from last to first. `is_forced`: every account may go below zero.
            postings = [
                posting(each["destination"], each["source"], each["amount"], each["asset"])
                for each in reversed(original["postings"])
            ]
            draft = Draft(
                ledger,
                postings,
                {**metadata, REVERTS: str(original["id"])},
                timestamp_at=timestamps.microseconds(original["timestamp"]) if is_dated else None,
                unbounded=frozenset(each["source"] for each in postings) if is_forced else frozenset(),
            )
            return self._book(draft, _is_dry_run(call), reverts=original)

        # The older ledger answers a key of another revert as if it had failed itself.
        refused = (400, "VALIDATION") if self.releases.is_current_ledger else (500, "INTERNAL")
        return self.books.once(ledger, call, [is_forced, is_dated, metadata], revert, other_content=refused)

    def _list_transactions(self, ledger: str, call: Call) -> Response:
        page = page_of(call, max_size=MAX_PAGE_SIZE)
        show = self.releases.transaction
        if (between := times_of(page.query)) is not None:
            rows = self.books.transactions_between(ledger, between, page)
            return page.response(rows, lambda row: row["id"], lambda row: show(stored(row["document"])))
        match match_of(page.query, ("reference", "account")):
            case "reference", reference:
                rows = self.books.by_reference(ledger, reference)
            case "account", account:
                rows = self.books.transactions_of(ledger, account, page)
            case _:
                rows = self.books.transactions(ledger, page)
        return page.response(rows, lambda row: row["id"], lambda row: show(stored(row["document"])))

    def _read_transaction(self, ledger: str, number: str) -> Response:
        found = self.books.transaction(ledger, number_of(number) or 0)
        if found is None:
            raise not_found("not found")
        return data(self.releases.transaction(found))

    # Accounts

    def _list_accounts(self, ledger: str, call: Call) -> Response:
        page = page_of(call, max_size=MAX_PAGE_SIZE)
        rows = self.books.accounts(ledger, page)
        return page.response(rows, lambda row: row["address"], lambda row: self._account(ledger, row, page))

    def _read_account(self, ledger: str, call: Call, address: str) -> Response:
        row = self.books.account(ledger, address)
        if row is None:
            raise not_found("not found")
        return data(self._account(ledger, row, Page(1, None, call.query)))

    def _account(self, ledger: str, row: Any, page: Page) -> Json:
        shown: Json = {"address": row["address"], "metadata": stored(row["metadata"])}
        if self.releases.is_current_ledger:
            times = {"firstUsage": "first_usage", "insertionDate": "inserted_at", "updatedAt": "updated_at"}
            shown |= {name: timestamps.shown(row[column]) for name, column in times.items()}
        if "volumes" in page.query.get("expand", []):
            volumes = self.books.volumes_of(ledger, row["address"])
            shown["volumes"] = {asset: volume.shown() for asset, volume in volumes.items()}
        return shown

    def _add_metadata(self, ledger: str, call: Call, address: str) -> Response:
        # No check of the address: a real ledger has none here either.
        metadata = metadata_of(as_object(json_of(call.body), "the body"), "metadata")

        def add() -> Response:
            self.books.add_metadata(ledger, address, metadata)
            if _is_dry_run(call):
                raise Rollback(no_content())
            return no_content()

        return self.books.once(ledger, call, metadata, add)

    def _aggregate(self, ledger: str, call: Call) -> Response:
        """A plain `?address=` is ignored, as a real ledger does; the filter travels in `query`."""
        match match_of(call.query, ("address",)):
            case _, pattern:
                return data(self.books.totals(ledger, lambda account: _is_like(account, pattern)))
            case _:
                return data(self.books.totals(ledger, lambda _: True))


def _is_dry_run(call: Call) -> bool:
    return _is_set(call, "dryRun")


def _is_set(call: Call, name: str) -> bool:
    """`yes` is not among them: a real ledger books for real then."""
    return call.parameter(name).lower() in ("true", "1")


def _is_like(account: str, pattern: str) -> bool:
    """An empty segment of the pattern stands for any segment: `users:` is like `users:1`."""
    segments, wanted = account.split(":"), pattern.split(":")
    return len(segments) == len(wanted) and all(w in ("", s) for s, w in zip(segments, wanted, strict=True))


def _posting(fields: Fields, releases: Releases) -> Posting:
    source, destination, asset = fields.address("source"), fields.address("destination"), fields.asset("asset")
    if not releases.takes_asset(asset):
        raise fields.wrong("asset", "must be an asset such as USD/2")
    return posting(source, destination, fields.amount("amount"), asset)
