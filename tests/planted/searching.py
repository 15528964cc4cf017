"""Bugs of searches: what is not found, found twice, or found where it is not."""

from __future__ import annotations

from tests.planted.bugs import Bug, Change

_LOOKUPS = "tests/contract/test_lookups.py"
_REINDEX = "tests/api/test_reindex.py"
_SEARCHES = "tests/api/test_searches.py"
_SEARCHING = "src/headrace/usecases/searching.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


SEARCHING: tuple[Bug, ...] = (
    _bug(
        "a booking does not find its run",
        "src/headrace/runner/instance.py",
        "                self.findable.terms += opened.activity.made(opened.shown, output or {})\n",
        "",
        _REINDEX,
    ),
    _bug(
        "the amount of a run is that of its last effect",
        "src/headrace/journal/sqlite/queries.sql",
        "SET amount = :amount WHERE id = :instance_id AND amount IS NULL",
        "SET amount = :amount WHERE id = :instance_id",
        _LOOKUPS,
    ),
    _bug(
        "more than an amount is at least that amount", _SEARCHING, 'comparison == ">="', 'comparison != "="', _LOOKUPS
    ),
    _bug(
        "an amount is rounded to the asset",
        _SEARCHING,
        "        is_whole = rest == 0\n",
        "        is_whole = True\n",
        _LOOKUPS,
    ),
    _bug(
        "an account finds those that begin with it",
        _SEARCHING,
        'return f"{begin} ", f"{begin}!"',
        'return begin, f"{begin}{_LAST}"',
        _LOOKUPS,
    ),
    _bug(
        "a scan that ends early says that it has seen all",
        _SEARCHING,
        "            return Found(kept, place, wanted.says, source.is_cut)\n",
        "            return Found(kept, None, wanted.says, source.is_cut)\n",
        _LOOKUPS,
    ),
    _bug(
        "the status is no filter beside a text",
        _SEARCHING,
        "    return is_status and is_workflow",
        "    return is_workflow",
        _SEARCHES,
        _LOOKUPS,
    ),
    _bug(
        "a unit that fails is findable",
        "src/headrace/journal/sqlite/writer.py",
        "            del self._units.terms[terms:]\n",
        "",
        _LOOKUPS,
    ),
    _bug(
        "a search reads the terms of one ledger only",
        "src/headrace/journal/sqlite/queries.sql",
        "SELECT term FROM found WHERE term IS NOT NULL LIMIT :limit",
        "SELECT term FROM found WHERE term IS NOT NULL AND :limit LIMIT 1",
        _LOOKUPS,
    ),
)
