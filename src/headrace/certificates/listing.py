"""All transactions of a period, listed from every ledger: each with a key of Headrace must be an effect of a case."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from headrace.effects.ledger import transaction_of, transactions_between
from headrace.effects.port import Request
from headrace.effects.wire import Unreadable, loose_text, page_of, query_part
from headrace.errors import Silent, TooLarge
from headrace.planning.questions import ATTEMPTS, Answer, Question

PREFIX = "headrace:"
MAX_PAGES = 2_000
"""Pages that are read from all ledgers. A ledger gives up to 100 transactions each."""
_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """A transaction of a ledger whose reference begins as the keys of Headrace do."""

    ledger: str
    id: int
    reference: str


def listed(from_text: str, to_text: str) -> Generator[Question, Answer, list[Listed]]:
    """The transactions of all ledgers, dated from a moment to before another one, whose reference begins with PREFIX.

    Raises Silent where the ledger does not answer usably, TooLarge beyond MAX_PAGES.
    """
    found: list[Listed] = []
    pages = _Pages()
    ledgers = yield from pages.all(f"/v2?pageSize={_PAGE_SIZE}", "/v2")
    for name in [loose_text(each.get("name")) for each in ledgers]:
        path = f"/v2/{name}/transactions"
        query = f"{path}?pageSize={_PAGE_SIZE}&query={transactions_between(from_text, to_text)}"
        for item in (yield from pages.all(query, path)):
            reference = loose_text(item.get("reference"))
            if not reference.startswith(PREFIX):
                continue
            try:
                found.append(Listed(name, transaction_of(item)["id"], reference))
            except Unreadable as error:
                raise Silent(f"ledger: {error} in the list {path}", "a certificate") from None
    return found


class _Pages:
    def __init__(self) -> None:
        self._left = MAX_PAGES

    def all(self, first: str, path: str) -> Generator[Question, Answer, list[dict[str, object]]]:
        """The items of all pages of a list."""
        found: list[dict[str, object]] = []
        following: str | None = first
        seen: set[str] = set()
        while following is not None:
            if not self._left:
                raise TooLarge(
                    "period", f"its ledgers have more than {MAX_PAGES:,} pages of transactions; take a shorter one"
                )
            self._left -= 1
            page, why = None, ""
            for attempt in range(ATTEMPTS):
                response = (yield Question(Request("ledger", "GET", following), attempt)).response
                try:
                    if response is not None and response.status == 200:
                        page = page_of(response)
                        break
                    why = "no response" if response is None else f"status {response.status}"
                except Unreadable as error:
                    why = str(error)
            if page is None:
                raise Silent(f"ledger: {why} for the list {path}", "a certificate")
            found += page.items
            if page.has_more and (page.next is None or page.next in seen):
                raise Silent(f"ledger: the list {path} has more, and no way to it", "a certificate")
            seen.add(page.next or "")
            following = None if page.next is None else f"{path}?cursor={query_part(page.next)}"
        return found
