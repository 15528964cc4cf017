"""Bugs of pictures of money: moves that are not in the books, sums that mislead, names that break a document."""

from __future__ import annotations

from tests.planted.bugs import Bug, Change

_PICTURES = "tests/pictures/test_pictures.py"
_API = "tests/api/test_flows.py"
_FLOWS = "src/headrace/usecases/flows.py"
_EFFECTS = "src/headrace/pictures/effects.py"
_MOVES = "src/headrace/pictures/moves.py"
_LAYOUT = "src/headrace/pictures/layout.py"
_SVG = "src/headrace/pictures/svg.py"


def _bug(name: str, file: str, find: str, put: str, *suites: str) -> Bug:
    return Bug(name, (Change(file, find, put),), suites)


DRAWING: tuple[Bug, ...] = (
    _bug(
        "an effect that was refused is drawn as booked",
        _FLOWS,
        '        return "booked" if row.error is None else "refused"\n',
        '        return "booked"\n',
        _PICTURES,
    ),
    _bug(
        "what a run has reached is drawn as planned too",
        _FLOWS,
        "    effects += [each for each in ahead if (each.stage, each.ordinal) not in reached]\n",
        "    effects += ahead\n",
        _PICTURES,
    ),
    _bug(
        "what is not reached is drawn as planned after the end",
        _FLOWS,
        '"unmade" if last.is_terminal else "planned"',
        '"planned"',
        _API,
    ),
    _bug(
        "what an undo has reverted is drawn as booked",
        _FLOWS,
        '    state = "undone" if row.key in undone else _state(row)\n',
        "    state = _state(row)\n",
        _API,
    ),
    _bug(
        "what an undo has kept is drawn as undone",
        _FLOWS,
        "    return found - kept\n",
        "    return found\n",
        _PICTURES,
    ),
    _bug(
        "what an undo under way has left as it is is drawn as undone",
        _FLOWS,
        "        if undo.is_terminal or any(row.key and is_done(row) for row in rows):\n",
        "        if True:\n",
        _PICTURES,
    ),
    _bug(
        "a payment that a run sends from twice comes in twice",
        _EFFECTS,
        "        if is_ingestion and (ledger, reference) in self._ingested:\n            return\n",
        "",
        _PICTURES,
    ),
    _bug(
        "a debit goes to the outside whatever its destination",
        _EFFECTS,
        'to = data.get("destination") or {',
        "to = {",
        _PICTURES,
    ),
    _bug(
        "money that should have moved on is said to have arrived",
        _MOVES,
        '        return "stuck" if leaving & {"unmade", "refused"} else "arrived"\n',
        '        return "arrived"\n',
        _API,
    ),
    _bug(
        "money on one side of a bridge is said to have arrived",
        _MOVES,
        "            if move.stage == after.stage:\n",
        "            if False:\n",
        _PICTURES,
    ),
    _bug(
        "a line that closes a circle counts for the rank of a node",
        _LAYOUT,
        "        if not _leads_to(edge.destination, edge.source, after):\n",
        "        if edge.source != edge.destination:\n",
        _PICTURES,
    ),
    _bug(
        "a title is not escaped",
        _SVG,
        "<title>{escape(whole.strip())}</title>",
        "<title>{whole.strip()}</title>",
        _PICTURES,
    ),
    _bug(
        "control and direction characters are drawn as they are",
        "src/headrace/pictures/words.py",
        '        if category[0] != "C" and category not in ("Zl", "Zp"):\n',
        '        if category != "Cs":\n',
        _PICTURES,
    ),
)
